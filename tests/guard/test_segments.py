from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.guard.segments import LONGEST, WINDOW, cut


def nothing(_: str) -> list[tuple[int, int]]:
    return []


def words(text: str) -> list[tuple[int, int]]:
    """Runs of digits with blanks between, as findings."""
    return [each.span() for each in re.finditer(r"\d(?:[ \d]*\d)?", text)]


def parts(text: str, inside: object = nothing) -> list[str]:
    out = []
    while text:
        size = cut(text, inside, last=True)  # type: ignore[arg-type]
        assert size
        out.append(text[:size])
        text = text[size:]
    return out


def streamed(text: str, pieces: list[int], inside: object = nothing) -> list[str]:
    out, held, place = [], "", 0
    for end in [*sorted(pieces), len(text)]:
        held += text[place:end]
        place = max(place, end)
        while held and (size := cut(held, inside, last=False)):  # type: ignore[arg-type]
            out.append(held[:size])
            held = held[size:]
    return out + parts(held, inside)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two", ["One. ", "Two"]),
        ("He left! “Why?” she asked.", ["He left! ", "“Why?” ", "she asked."]),
        ("Dr. Smith of St. Ives, e.g. J. R. Smith.", ["Dr. Smith of St. Ives, e.g. J. R. Smith."]),
        ("It costs 3.50 a litre", ["It costs 3.50 a litre"]),
        ("wrapped in the mid-\ndle of 12\n34", ["wrapped in the mid-\ndle of 12\n34"]),
        ("a paragraph\n\nand another", ["a paragraph\n\n", "and another"]),
        ("Ends here.\nAnd goes on", ["Ends here.\n", "And goes on"]),
        ("Musterstr. 12", ["Musterstr. 12"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


TEXTS = st.text(st.sampled_from("aB1 .!?\n\t\"')(…”-,Mr\r"), max_size=300)


@given(TEXTS, st.lists(st.integers(0, 300), max_size=20))
def test_a_stream_has_the_parts_of_the_whole(text: str, pieces: list[int]) -> None:
    pieces = [min(each, len(text)) for each in pieces]
    assert streamed(text, pieces, words) == parts(text, words)
    assert "".join(parts(text)) == text


@given(
    st.lists(st.sampled_from(["word ", "x" * 50, "12 34 ", "9" * 300, "\n", ". A"]), max_size=120),
    st.lists(st.integers(0, 9000), max_size=12),
)
def test_long_ones_too(some: list[str], pieces: list[int]) -> None:
    text = "".join(some)
    assert streamed(text, [min(each, len(text)) for each in pieces], words) == parts(text, words)


def test_no_part_is_long_and_no_finding_cut() -> None:
    text = "12 34 56 78 word " * 400
    found = parts(text, words)
    assert max(map(len, found)) <= WINDOW
    assert max(map(len, found[:-1])) <= WINDOW - LONGEST
    assert all(not re.search(r"\d $", part) or part.endswith("78 ") for part in found)
    endless = "x" * 100_000
    assert max(map(len, parts(endless))) <= 4096
    assert cut("x" * 4096, nothing, last=False) == 0
    assert cut("x" * 4097, nothing, last=False) > 0
