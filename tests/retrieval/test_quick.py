from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studiolo.retrieval import quick
from studiolo.retrieval.asker import OWNER, Asker
from studiolo.retrieval.index import Index
from studiolo.retrieval.quick import cells, has_words, opened, quicken
from studiolo.retrieval.search import search
from tests.retrieval.small import Words, indexed

pytestmark = pytest.mark.usefixtures("home")
WORDS = ("rain", "wind", "snow", "sun", "fog", "hail", "frost", "storm", "cloud", "ice")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.setattr(quick, "MANY", 300)
    rng = np.random.default_rng(3)
    files: dict[str, str | bytes] = {
        f"{i:03}.md": " ".join(rng.choice(WORDS, 4)) + f" day{i}" for i in range(400)
    }
    rules = {"rules": [{"match": "39?.md", "access": ["hr"]}, {"match": "0*", "access": "nobody"}]}
    return indexed(tmp_path / "docs", files, rules)[0]


def test_many_vectors_lie_in_cells_and_the_nearest_are_found(index: Index) -> None:
    made = {tuple(each.columns) for each in index.passages.list_indices()}
    assert made == {("indexed",), ("vector",)}
    rows = index.passages.search().select(["source", "vector"]).to_arrow().to_pylist()
    vectors = np.array([row["vector"] for row in rows], np.float32)
    right = 0
    for query in WORDS:
        asked = Words().embed([f"{query} {query} storm"])[0]
        order = np.argsort(-(vectors @ asked))[:5]
        exact = {rows[i]["source"] for i in order}
        hits = search(index, f"{query} {query} storm", Words(), asker=OWNER, how="vectors")
        least = float((vectors @ asked)[order[-1]])
        right += sum(hit.cosine >= least - 1e-5 for hit in hits)
        assert len(exact) == 5
    assert right >= 45, "nine of ten at least, with a fourth of the cells"


def test_access_never_costs_results(index: Index) -> None:
    """The ten that may be seen besides lie anywhere; all are found, whatever cells they are in."""
    everyone = {"startsWith": {"key": "source", "value": "39"}}
    hits = search(
        index, "rain", Words(), asker=Asker.known_as(["hr"]), how="vectors", k=10, filter=everyone
    )
    assert len(hits) == 10
    hidden = search(
        index, "rain", Words(), asker=Asker.known_as([]), how="vectors", k=10, filter=everyone
    )
    assert hidden == []


def test_cells_are_made_anew_when_outgrown(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    class Table:
        def __getattr__(self, name: str) -> object:
            return getattr(index.passages, name)

        def create_index(self, column: str, **options: object) -> None:
            made.append(column)

    quicken(Table())
    assert made == []
    monkeypatch.setattr(quick, "_GROWN", 1)
    quicken(Table())
    assert made == ["vector"]


def test_sizes(tmp_path: Path) -> None:
    assert [cells(count) for count in (1, 100, 20_000, 1_000_000)] == [1, 5, 70, 500]
    assert [opened(count) for count in (1, 100, 20_000, 1_000_000)] == [1, 1, 17, 125]
    small, _ = indexed(tmp_path / "small", {"a.md": "rain"}, name="few")
    assert has_words(small.passages)
    assert len(small.passages.list_indices()) == 1
