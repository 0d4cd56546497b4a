from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.asker import OWNER, Asker
from studiolo.retrieval.index import Index
from studiolo.retrieval.search import Hit, search
from tests.retrieval.small import Words, indexed, pdf

EMBEDDER = Words()
FILES: dict[str, str | bytes] = {
    "house.md": "# House\n\nThe kitchen has a stove.\n\n## Garden\n\nApples grow by the wall.\n",
    "hr/pay.md": "# Pay\n\nWages are paid on Friday, apples or not.\n",
    "map.pdf": pdf("the harbour lies west", "apples are sold in the market"),
    "old.md": "# Old\n\nApples apples apples were sold in the harbour.\n",
}
RULES = {
    "rules": [
        {"match": "hr/**", "access": ["hr"]},
        {"match": "old.md", "metadata": {"year": 1999}},
        {"match": "house.md", "metadata": {"year": 2024}},
    ]
}


@pytest.fixture
def index(home: Path, tmp_path: Path) -> Index:
    return indexed(tmp_path / "docs", FILES, RULES)[0]


def found(index: Index, query: str, **asked: object) -> list[Hit]:
    return search(index, query, EMBEDDER, **({"asker": OWNER} | asked))  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["hybrid", "vectors", "words"])
def test_the_passage_that_says_it_comes_first(index: Index, how: str) -> None:
    best = found(index, "where do wages come from on friday", how=how)[0]
    assert best.source == "hr/pay.md"
    assert str(FILES["hr/pay.md"])[best.start : best.end] == best.text
    assert best.page is None


def test_a_hit_of_a_pdf_has_its_page_and_place(index: Index) -> None:
    best = found(index, "sold at the market")[0]
    assert (best.source, best.page) == ("map.pdf", 2)
    assert index.text("map.pdf", OWNER).text[best.start : best.end] == best.text
    assert list(best.to_dict()) == ["text", "source", "page", "start", "end", "score"]


def test_headings_are_searched_too_and_told(index: Index) -> None:
    best = found(index, "garden", how="words")[0]
    assert best.text.startswith("## Garden")
    assert best.heading == "House"


@pytest.mark.parametrize("how", ["hybrid", "vectors", "words"])
def test_access_is_part_of_the_query(index: Index, how: str) -> None:
    """With one place in the result, what may not be seen does not take it."""
    query = "wages are paid on friday apples"
    assert found(index, query, how=how, k=1)[0].source == "hr/pay.md"
    assert found(index, query, how=how, k=1, asker=Asker.known_as(["hr"]))[0].source == "hr/pay.md"
    others = found(index, query, how=how, k=1, asker=Asker.known_as(["it", "h' OR true --"]))
    assert [hit.source for hit in others] != ["hr/pay.md"]
    assert len(others) == 1


def test_filters_are_part_of_the_query(index: Index) -> None:
    recent = {"greaterThan": {"key": "year", "value": 2000}}
    assert {hit.source for hit in found(index, "apples", filter=recent)} == {"house.md"}
    assert {hit.source for hit in found(index, "apples", filter=recent, how="words")} == {
        "house.md"
    }
    paged = {"equals": {"key": "page", "value": 2}}
    assert [hit.page for hit in found(index, "apples", filter=paged)] == [2]
    both = {"andAll": [recent, {"startsWith": {"key": "source", "value": "hr/"}}]}
    assert found(index, "apples", filter=both) == []
    with pytest.raises(InvalidRequestError, match="'yaer' is no key"):
        found(index, "apples", filter={"equals": {"key": "yaer", "value": 1}})


def test_scores_fall_and_cosines_are_cosines(index: Index) -> None:
    for how in ("hybrid", "vectors", "words"):
        scores = [hit.score for hit in found(index, "apples sold in the harbour", how=how)]
        assert scores == sorted(scores, reverse=True)
    for hit in found(index, "apples", how="vectors"):
        text = f"{hit.heading}\n{hit.text}" if hit.heading else hit.text
        exact = EMBEDDER.embed([text, "apples"])
        assert hit.score == pytest.approx(float(exact[0] @ exact[1]), abs=1e-5)
        assert hit.cosine == pytest.approx(hit.score, abs=1e-5)


def test_a_reranker_decides(index: Index) -> None:
    def by_length(query: str, hits: Sequence[Hit]) -> list[float]:
        assert query == "apples"
        return [-float(len(hit.text)) for hit in hits]

    lengths = [len(hit.text) for hit in found(index, "apples", rerank=by_length)]
    assert lengths == sorted(lengths)
    with pytest.raises(InvalidRequestError, match="rerank: gave no 6 finite scores"):
        found(index, "apples", rerank=lambda query, hits: [np.nan] * len(hits))


def test_diversity_reorders_what_was_found(home: Path, tmp_path: Path) -> None:
    files = {f"{i}.md": "apples grow by the wall" for i in range(3)} | {"x.md": "apples rot"}
    index, _ = indexed(tmp_path / "docs", files)
    same = found(index, "apples grow by the wall", k=2)
    other = found(index, "apples grow by the wall", k=2, diversity=0.7)
    assert "x.md" not in {hit.source for hit in same}
    assert other[1].source == "x.md"


@pytest.mark.parametrize(
    ("query", "asked", "why"),
    [
        (" ", {}, "query: is empty"),
        ("x" * 10_001, {}, "query: has 10,001 characters, more than 10,000"),
        ("x", {"k": 0}, "k: must be from 1 to 1,000, not 0"),
        ("x", {"how": "magic"}, "how: must be hybrid, vectors or words"),
        ("x", {"diversity": 2}, "diversity: must be from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(
    index: Index, query: str, asked: dict[str, object], why: str
) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        found(index, query, **asked)


def test_an_empty_index_finds_nothing_and_any_question_is_text(home: Path, tmp_path: Path) -> None:
    index, _ = indexed(tmp_path / "docs")
    assert found(index, "rain") == []
    index, _ = indexed(tmp_path / "docs", {"a.md": "rain"})
    for odd in ('"rain', "rain AND", "(", "rain*:^~", "the of", "?!", "' OR 1=1", "雨"):
        for how in ("hybrid", "words"):
            found(index, odd, how=how)
