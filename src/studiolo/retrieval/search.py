"""A question finds passages: by meaning, by words, or by both, within what the asker may see.

Vectors are compared by their cosine; words by BM25 (Robertson and Zaragoza 2009), of the passage
and of the headings above it; *hybrid* fuses the two rankings. Access lists and filters are part of
both queries, not applied to what they found, so that they cost no results. Who wants others in
front hands in a ``rerank``. Deliberately unknown here: answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.asker import Asker
from studiolo.retrieval.embedder import Embedder, Vectors
from studiolo.retrieval.filters import condition
from studiolo.retrieval.index import Index, blaming
from studiolo.retrieval.quick import has_words, opened
from studiolo.retrieval.ranking import diverse, fused

How = Literal["hybrid", "vectors", "words"]
MAX_K = 1000
MAX_QUERY = 10_000
"""Characters."""
CANDIDATES = 50
"""Of each ranking at least; five times ``k`` if that is more."""
_COLUMNS = (
    *("id", "source", "kind", "page", "start", "end", "parent_start", "parent_end"),
    *("lead", "indexed", "vector"),
)
_TYPES = ("vectors", "words")


@dataclass(frozen=True)
class Hit:
    """A passage that was found: characters ``start`` to ``end`` of ``source``.

    ``page``: from 1, where the format has pages. ``score``: the higher the better, comparable
    within one search; of hybrid searches 1 for what both rankings have first, of vectors the
    cosine, of words BM25. ``heading``: the titles above it. ``parent``: the wider piece.
    """

    text: str
    source: str
    page: int | None
    start: int
    end: int
    score: float
    heading: str
    kind: str
    parent: tuple[int, int]
    cosine: float

    def to_dict(self) -> dict[str, object]:
        """As ``--json`` prints it."""
        return {
            "text": self.text,
            "source": self.source,
            "page": self.page,
            "start": self.start,
            "end": self.end,
            "score": self.score,
        }


Rerank = Callable[[str, Sequence[Hit]], Sequence[float]]
"""Query and hits to a new score for each, such as a cross-encoder's."""


def search(
    index: Index,
    query: str,
    embedder: Embedder,
    *,
    asker: Asker,
    k: int = 5,
    how: How = "hybrid",
    filter: object = None,
    diversity: float = 0.0,
    rerank: Rerank | None = None,
) -> list[Hit]:
    """The ``k`` best passages for ``query``, best first; fewer if there are no more.

    ``filter``: see :func:`~studiolo.retrieval.filters.condition`. ``diversity``: from 0 to 1, how
    much what resembles a better hit is held back. ``rerank`` scores the candidates anew, before
    that. Raises :class:`InvalidRequestError` for what is outside of these, and another encoder.
    """
    index.settings.check(embedder)
    _check(query, k, how, diversity)
    where = _joined(asker.condition(), None if filter is None else condition(filter, index.types()))
    count = max(CANDIDATES, 5 * k) if how == "hybrid" or diversity or rerank else k
    vector = embedder.embed([query])[0]
    with blaming(index.folder):
        rows, rankings, scores = _found(index, query, vector, where, how, count)
    if how == "hybrid":
        scores = fused(rankings)
    vectors = {key: np.asarray(rows[key]["vector"], np.float32) for key in scores}
    hits = {key: _hit(rows[key], score, vectors[key], vector) for key, score in scores.items()}
    if rerank is not None and hits:
        hits = _reranked(query, hits, rerank)
    order = list(hits)[:k]
    if diversity:
        relevance = _scaled({key: hit.score for key, hit in hits.items()})
        order = diverse(relevance, vectors, k, diversity)
    return [hits[key] for key in order]


_Rows = dict[str, dict[str, Any]]


def _found(
    index: Index, query: str, vector: Vectors, where: str | None, how: How, count: int
) -> tuple[_Rows, list[list[str]], dict[str, float]]:
    """Rows by id, their order in each ranking, and the scores of the last one."""
    rows: _Rows = {}
    rankings: list[list[str]] = []
    scores: dict[str, float] = {}
    for each in _TYPES if how == "hybrid" else (how,):
        found = (
            _by_vector(index, vector, where, count)
            if each == "vectors"
            else _by_words(index, query, where, count)
        )
        rankings.append([row["id"] for row in found])
        rows |= {row["id"]: row for row in found}
        scores = {row["id"]: row["score"] for row in found}
    return rows, rankings, scores


def _by_vector(
    index: Index, vector: Vectors, where: str | None, count: int
) -> list[dict[str, Any]]:
    passages = index.passages
    asked = passages.search(vector, vector_column_name="vector").distance_type("cosine")
    asked = asked.minimum_nprobes(opened(passages.count_rows())).maximum_nprobes(0)
    found = _limited(asked, where, count, "_distance")
    return [row | {"score": 1.0 - row["_distance"]} for row in found]


def _by_words(index: Index, query: str, where: str | None, count: int) -> list[dict[str, Any]]:
    passages = index.passages
    if not has_words(passages):  # a first run is not done yet, or nothing is in it
        return []
    asked = passages.search(query, query_type="fts", fts_columns="indexed")
    return [row | {"score": row["_score"]} for row in _limited(asked, where, count, "_score")]


def _limited(asked: Any, where: str | None, count: int, extra: str) -> list[dict[str, Any]]:
    if where is not None:
        asked = asked.where(where, prefilter=True)
    found: list[dict[str, Any]] = asked.select([*_COLUMNS, extra]).limit(count).to_list()
    return found


def _hit(row: dict[str, Any], score: float, own: Vectors, query: Vectors) -> Hit:
    lead = row["lead"]
    return Hit(
        text=row["indexed"][lead:],
        source=row["source"],
        page=row["page"],
        start=row["start"],
        end=row["end"],
        score=float(score),
        heading=row["indexed"][: max(0, lead - 1)],
        kind=row["kind"],
        parent=(row["parent_start"], row["parent_end"]),
        cosine=float(own @ query),
    )


def _reranked(query: str, hits: dict[str, Hit], rerank: Rerank) -> dict[str, Hit]:
    scores = [float(each) for each in rerank(query, list(hits.values()))]
    if len(scores) != len(hits) or not np.isfinite(scores).all():
        raise InvalidRequestError("rerank", f"gave no {len(hits)} finite scores")
    made = {
        key: replace(hit, score=score)
        for (key, hit), score in zip(hits.items(), scores, strict=True)
    }
    return dict(sorted(made.items(), key=lambda pair: -pair[1].score))


def _scaled(scores: dict[str, float]) -> dict[str, float]:
    """From 0 to 1, since it is weighed against cosines."""
    least, most = min(scores.values(), default=0.0), max(scores.values(), default=1.0)
    span = most - least or 1.0
    return {key: (score - least) / span for key, score in scores.items()}


def _joined(*conditions: str | None) -> str | None:
    said = [each for each in conditions if each is not None]
    return " AND ".join(f"({each})" for each in said) or None


def _check(query: str, k: int, how: str, diversity: float) -> None:
    if not isinstance(query, str) or not query.strip():
        raise InvalidRequestError("query", "is empty")
    if len(query) > MAX_QUERY:
        raise InvalidRequestError(
            "query", f"has {len(query):,} characters, more than {MAX_QUERY:,}"
        )
    if not 1 <= k <= MAX_K:
        raise InvalidRequestError("k", f"must be from 1 to {MAX_K:,}, not {k}")
    if how not in ("hybrid", *_TYPES):
        raise InvalidRequestError("how", f"must be hybrid, vectors or words, not {how!r}")
    if not 0 <= diversity <= 1:
        raise InvalidRequestError("diversity", f"must be from 0 to 1, not {diversity}")
