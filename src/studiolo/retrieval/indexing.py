"""A folder and its index are brought into agreement: what is new, what changed, what is gone.

What changed is told by the digest of a file's bytes. Documents are written in batches, each by one
commit, so that a run that is killed goes on where it was; there is no other state. Notable choices:
*access first*: before any file is read, documents that are there already get the access lists that
the rules give them now. *A file that can no longer be read leaves the index*, since what the index
said of it is no longer so; the run goes on and tells which and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from studiolo.errors import NoSpaceError, SourceError
from studiolo.retrieval.apart import Apart
from studiolo.retrieval.asker import OWNER
from studiolo.retrieval.chunking import chunks
from studiolo.retrieval.document import Document, Unread
from studiolo.retrieval.embedder import Embedder
from studiolo.retrieval.facts import Facts, Rules, Type, type_of
from studiolo.retrieval.filters import PREFIX, written
from studiolo.retrieval.index import Held, Index, in_list
from studiolo.retrieval.ingest import MAX_BYTES, digest_of, load, read, walk
from studiolo.retrieval.quick import quicken
from studiolo.retrieval.tables import facts_values, key_of, rows, table, text_key

BATCH = 512
"""Passages after which a batch is written; a document is never divided."""
_KEPT = timedelta(hours=1)
"""For so long a reader may go on with what it has begun to read."""


@dataclass
class Outcome:
    """What became of the documents; ``unread``: which are not in the index, and why."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    unread: list[Unread] = field(default_factory=list)


Report = Callable[[int, int], None]
"""Told how many files of how many are done."""


def update(
    index: Index,
    folder: Path,
    embedder: Embedder,
    *,
    rules: Rules | None = None,
    max_bytes: int = MAX_BYTES,
    report: Report = lambda done, total: None,
) -> Outcome:
    """Bring the index into agreement with the folder.

    Raises :class:`InvalidRequestError` for a folder that is not there, another encoder, and rules
    that contradict the index; :class:`BusyError` while somebody else writes it;
    :class:`NoSpaceError` and :class:`SourceError` if it cannot be written: what was written until
    then stays, whole.
    """
    index.settings.check(embedder)
    sources = list(walk(folder))
    with index.writing():
        try:
            with Apart() as apart:
                run = _Run(index, embedder, rules or Rules(), apart)
                run.go(folder, sources, max_bytes, report)
        except OSError as error:
            raise SourceError(f"{index.folder}: cannot be written: {error}") from None
        except RuntimeError as error:  # as LanceDB tells what the disk refuses
            if "space" in str(error).lower():
                raise NoSpaceError(
                    f"{index.folder}: the disk is full", remedy="Free some space, and run it again."
                ) from None
            raise
    return run.outcome


class _Run:
    """One updating. ``held``: the documents that were there, less those found again."""

    def __init__(self, index: Index, embedder: Embedder, rules: Rules, apart: Apart) -> None:
        self._index, self._embedder, self._rules, self._apart = index, embedder, rules, apart
        self.outcome = Outcome()
        self._held: dict[str, Held] = index.documents(OWNER)
        self._types: dict[str, Type] = {}
        self._batch: list[dict[str, Any]] = []
        self._texts: dict[str, Document] = {}
        self._replaced: list[str] = []

    def go(self, folder: Path, sources: list[str], max_bytes: int, report: Report) -> None:
        types = self._known_types(sources)
        self._index.add_keys(types)
        self._types = self._index.types()
        self._refresh()
        gone = set(self._held)
        for done, source in enumerate(sources):
            report(done, len(sources))
            key = key_of(source) if _sayable(source) else ""
            if self._take(folder, source, key, max_bytes):
                gone.discard(key)
            if len(self._batch) >= BATCH:
                self._write()
        self._write()
        report(len(sources), len(sources))
        self._remove(sorted(gone))
        self._tidy()

    def _known_types(self, sources: list[str]) -> dict[str, Type]:
        """The keys that the rules give to what is here."""
        types: dict[str, Type] = {}
        for rule in self._rules.rules:
            types |= {key: type_of(value) for key, value in rule.metadata.items()}
        return types

    def _refresh(self) -> None:
        """Give documents what the rules say of them now; those that are alike in one commit."""
        alike: dict[str, tuple[Facts, list[str]]] = {}
        for key, held in self._held.items():
            facts = self._rules.of(held.source)
            if held.facts != facts.digest:
                alike.setdefault(facts.digest, (facts, []))[1].append(key)
        for facts, keys in alike.values():
            values: dict[str, Any] = {PREFIX + name: None for name in self._types}
            values |= facts_values(facts)
            said = {column: written(value) for column, value in values.items()}
            for first in range(0, len(keys), BATCH):
                where = in_list("document", keys[first : first + BATCH])
                self._index.passages.update(where=where, values_sql=said)

    def _take(self, folder: Path, source: str, key: str, max_bytes: int) -> bool:
        """Read a file if it is new or changed. Whether it is, or will be, in the index."""
        data = load(folder, source, max_bytes)
        if isinstance(data, Unread):
            self.outcome.unread.append(data)
            return False
        held = self._held.get(key)
        if held is not None and held.digest == digest_of(data):
            self.outcome.unchanged += 1
            return True
        document = read(source, data, self._apart.extract)
        if isinstance(document, Unread):
            self.outcome.unread.append(document)
            return False
        found = chunks(document, self._index.settings.chunking, self._embedder.fits)
        facts = self._rules.of(source)
        self._batch.extend(rows(document, found, facts, self._embedder.fits))
        self._texts[text_key(document)] = document
        if held is None:
            self.outcome.added += 1
        else:
            self.outcome.changed += 1
            self._replaced.append(key)
        self.outcome.passages += len(found)
        return True

    def _write(self) -> None:
        """Add the batch: first the texts, which nobody sees alone, then all passages at once."""
        if not self._batch:
            return
        vectors = self._embedder.embed([row["indexed"] for row in self._batch])
        if not np.isfinite(vectors).all():
            raise SourceError(f"{self._embedder.name} made a vector that is not finite")
        self._add_texts()
        passages = self._index.passages
        made = table(passages.schema, self._batch, vectors)
        if self._replaced:
            (
                passages.merge_insert("id")
                .when_not_matched_insert_all()
                .when_not_matched_by_source_delete(in_list("document", self._replaced))
                .execute(made)
            )
        else:
            passages.add(made)
        self._batch, self._texts, self._replaced = [], {}, []

    def _add_texts(self) -> None:
        import pyarrow as pa

        texts = self._index.texts
        where = in_list("key", list(self._texts))
        there = texts.search().where(where).select(["key"]).to_arrow()["key"].to_pylist()
        new = {key: each.extract for key, each in self._texts.items() if key not in there}
        if new:
            values: Mapping[str, Any] = {
                "key": list(new),
                "text": [each.text for each in new.values()],
                "pages": [list(each.pages) for each in new.values()],
            }
            texts.add(pa.table(values, schema=texts.schema))

    def _remove(self, keys: list[str]) -> None:
        for first in range(0, len(keys), BATCH):
            self._index.passages.delete(in_list("document", keys[first : first + BATCH]))
        self.outcome.removed = len(keys)

    def _tidy(self) -> None:
        """Sweep away texts that are nobody's, and gather what many commits have scattered."""
        passages, texts = self._index.passages, self._index.texts
        used = passages.search().where("number = 0").select(["text_key"]).to_arrow()
        wanted = set(used["text_key"].to_pylist())
        there = texts.search().select(["key"]).to_arrow()["key"].to_pylist()
        lost = [key for key in there if key not in wanted]
        for first in range(0, len(lost), BATCH):
            texts.delete(in_list("key", lost[first : first + BATCH]))
        for each in (passages, texts):
            each.optimize(cleanup_older_than=_KEPT)
        quicken(passages)


def _sayable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
