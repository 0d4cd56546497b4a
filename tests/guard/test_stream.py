"""The property that matters: however a text comes, what is given out is the mask of the whole."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.guard.finder import Finder
from studiolo.guard.masking import Masker
from studiolo.guard.segments import WINDOW
from studiolo.guard.stream import MaskingStream
from tests.guard.test_finder import LETTER

SHORT = "Hi Ann, I am 34. My IBAN: GB82 WEST 1234 5698 7654 32.\n\nPIN 4821"
PLAIN = Masker(Finder())


def given_out(masker: Masker, text: str, places: list[int]) -> list[str]:
    stream = MaskingStream(masker)
    edges = [0, *sorted(places), len(text)]
    out = [stream.feed(text[a:b]) for a, b in pairwise(edges)]
    out.append(stream.finish())
    assert tuple(stream.findings) == masker.mask(text).findings
    return out


def test_every_split_in_two(masker: Masker) -> None:
    whole = masker(LETTER)
    for place in range(len(LETTER) + 1):
        assert "".join(given_out(masker, LETTER, [place])) == whole


def test_every_split_in_three() -> None:
    whole = PLAIN(SHORT)
    assert "4821" not in whole
    for a in range(len(SHORT)):
        for b in range(a, len(SHORT), 3):
            assert "".join(given_out(PLAIN, SHORT, [a, b])) == whole


def test_one_character_at_a_time(masker: Masker) -> None:
    for text in (LETTER, SHORT, LETTER.replace("\n", " ") * 3):
        out = given_out(masker, text, list(range(len(text))))
        assert "".join(out) == masker(text)


@lru_cache
def _long() -> Masker:
    return Masker(Finder())


SENTENCES = st.sampled_from(
    [
        "Call 415-555-0132 ",
        "now. ",
        "x@example.org\n",
        "4111 1111 1111 1111",
        " and ",
        "\n\n",
        "word " * 30,
        "password: hunter2! ",
        "GB82 WEST 1234\n5698 7654 32 ",
        "https://a.example/" + "b" * 300,
        "é. A",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(SENTENCES, max_size=30).map("".join), st.lists(st.integers(0, 4000), max_size=9))
def test_any_text_any_split(text: str, places: list[int]) -> None:
    out = given_out(_long(), text, [min(each, len(text)) for each in places])
    assert "".join(out) == _long()(text)


def test_nothing_secret_is_given_out_before_it_is_settled() -> None:
    secret = "4111 1111 1111 1111"
    text = f"My card is {secret} and I like it. Really"
    stream = MaskingStream(PLAIN)
    said = ""
    for character in text:
        said += stream.feed(character)
        assert PLAIN(text).startswith(said)
    assert said == "My card is {CREDIT_DEBIT_CARD_NUMBER} and I like it. "
    assert stream.held == len("Really")
    assert stream.finish() == "Really"
    assert stream.finish() == ""


def test_little_is_held_back() -> None:
    stream = MaskingStream(PLAIN)
    for word in ["word "] * 2000:
        stream.feed(word)
        assert stream.held <= WINDOW + len(word)


@pytest.mark.parametrize("size", [20_000])
def test_a_stream_takes_no_square_of_its_length(size: int) -> None:
    stream = MaskingStream(PLAIN)
    out = "".join(stream.feed("x" * 50) for _ in range(size // 50)) + stream.finish()
    assert out == "x" * size
