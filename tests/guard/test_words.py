from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.guard.words import WordList, profanities

LIST = WordList(["Falcon", "project  x", "naïve", "C++", "Straße", "o'clock", "+1"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the FALCON, again", ["FALCON"]),
        ("falcons fly", []),
        ("Project\n X.", ["Project\n X"]),
        ("project. x", []),
        ("ｆａｌｃｏｎ", ["ｆａｌｃｏｎ"]),
        ("naive", []),
        ("STRASSE", ["STRASSE"]),
        ("at five o’clock", ["o’clock"]),
        ("falcon falcon", ["falcon", "falcon"]),
        ("", []),
    ],
)
def test_whole_words_in_any_case(text: str, found: list[str]) -> None:
    assert [text[a:b] for a, b in LIST.spans(text)] == found


def test_the_longest_counts() -> None:
    assert WordList(["a b", "a", "a b c"]).spans("a b c d") == [(0, 5)]


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    spans = LIST.spans(text)
    assert spans == sorted(spans)
    assert all(0 <= a < b <= len(text) for a, b in spans)


def test_profanities() -> None:
    assert len(profanities()) > 500
    known = WordList(profanities())
    assert known.spans("What a load of bullshit!") == [(15, 23)]
    assert known.spans("Scunthorpe is a town; the cockpit is in front.") == []


def test_no_text_takes_long() -> None:
    start = time.process_time()
    LIST.spans("project " * 10_000)
    assert time.process_time() - start < 2
