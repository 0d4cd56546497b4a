from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.chunking import Chunk, Chunking, Way, chunks
from tests.retrieval.small import document

SENTENCE = "The quiet river carried the old lamp past the harbour. "


def pieces(text: str, found: list[Chunk]) -> list[str]:
    return [text[each.start : each.end] for each in found]


def test_whole_blocks_that_fit_are_one_passage() -> None:
    text = "# House\n\nIt stands.\n\nIt falls.\n\n## Rooms\n\nTwo.\n"
    found = chunks(document(text), Chunking())
    assert pieces(text, found) == ["# House\n\nIt stands.\n\nIt falls.", "## Rooms\n\nTwo."]
    assert [each.path for each in found] == [("House",), ("House", "Rooms")]


def test_a_heading_alone_goes_with_what_follows() -> None:
    text = "# House\n\n## Rooms\n\nTwo.\n"
    found = chunks(document(text), Chunking())
    assert pieces(text, found) == [text.strip()]
    assert found[0].path == ("House", "Rooms")


def test_a_long_block_is_cut_after_sentences_and_overlaps() -> None:
    text = SENTENCE * 30
    found = chunks(document(text), Chunking(size=300, overlap=60))
    made = pieces(text, found)
    assert all(each.endswith(".") and each.startswith("The") for each in made)
    assert all(len(each) <= 300 for each in made)
    for one, other in pairwise(found):
        assert one.start < other.start <= one.end < other.end
        assert one.end - other.start <= 60
    apart = chunks(document(text), Chunking(size=300, overlap=0))
    assert all(b.start >= a.end for a, b in pairwise(apart))


def test_parents_are_wider_pieces_of_the_same_section() -> None:
    text = f"# One\n\n{SENTENCE * 20}\n\n# Two\n\n{SENTENCE * 3}"
    found = chunks(document(text), Chunking(size=300, parent=700))
    for each in found:
        assert each.parent_start <= each.start < each.end <= each.parent_end
        assert each.parent_end - each.parent_start <= 700
        assert text[each.parent_start : each.parent_end].count("# ") <= 1
    assert len({each.parent_start for each in found}) < len(found)


def test_fixed_pieces_know_no_headings() -> None:
    text = f"# One\n\n{SENTENCE}\n\n# Two\n\n{SENTENCE}"
    found = chunks(document(text), Chunking("fixed"))
    assert pieces(text, found) == [text.strip()]
    assert found[0].path == ()


def test_what_a_model_would_cut_is_cut_here() -> None:
    text = SENTENCE * 10
    found = chunks(document(text), Chunking(), lambda piece: len(piece) < 130)
    assert max(len(each) for each in pieces(text, found)) < 130


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"size": 99}, "size: must be from 100 to 20,000, not 99"),
        ({"size": 200, "overlap": 101}, "overlap: must be from 0 to 100"),
        ({"size": 800, "parent": 700}, "parent: must be from 800"),
        ({"way": "semantic"}, "way: must be structure or fixed"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidRequestError, match=field):
        Chunking(**asked)  # type: ignore[arg-type]


words = st.lists(
    st.sampled_from(["rain. ", "Wet", " ", "\n", "\n\n", "# h\n", "```\n", "漢字。", "x" * 70]),
    max_size=60,
).map("".join)


@given(words, st.sampled_from(["structure", "fixed"]), st.integers(0, 50), st.integers(1, 90))
def test_every_character_that_is_no_space_is_in_a_passage(
    text: str, way: Way, overlap: int, limit: int
) -> None:
    chunking = Chunking(way, size=100, overlap=overlap, parent=300)
    found = chunks(document(text), chunking, lambda piece: len(piece) <= limit)
    seen: set[int] = set()
    for each in found:
        assert 0 < each.end - each.start <= limit
        assert text[each.start : each.end] == text[each.start : each.end].strip()
        assert each.parent_start <= each.start < each.end <= each.parent_end
        seen |= set(range(each.start, each.end))
    assert {i for i, c in enumerate(text) if not c.isspace()} <= seen
