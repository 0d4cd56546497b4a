from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.retrieval.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rained. Streets were wet!  Why?", ["It rained.", "Streets were wet!", "Why?"]),
        ("wrapped\nlines go on.", ["wrapped\nlines go on."]),
        ("Dr. Smith, e.g. in Fig. 3, paid 3.5 euros.", None),
        ("The U.S. Army left. J. R. Smith stayed.", ["The U.S. Army left.", "J. R. Smith stayed."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("See version 2. 3 files changed.", ["See version 2.", "3 files changed."]),
        ("# Title\nText here.\n\nMore", ["# Title", "Text here.", "More"]),
        ("- one\n- two\n1. three", ["- one", "- two", "1. three"]),
        ("| a | b |\n| --- | --- |\n| c | d |", ["| a | b |", "| c | d |"]),
        ("雨が降った。道は濡れていた。", ["雨が降った。", "道は濡れていた。"]),
        ("...\n\n---", []),
        ("", []),
    ],
)
def test_sentences_are_found(text: str, expected: list[str] | None) -> None:
    found = [text[start:end] for start, end in sentences(text)]
    assert found == ([text] if expected is None else expected)


@given(st.text() | st.text(alphabet='aB .!?\n|-#`1"é。'))
def test_places_are_in_order_and_no_word_is_lost(text: str) -> None:
    found = sentences(text)
    place = 0
    for start, end in found:
        assert place <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        assert not any(c.isalnum() for c in text[place:start])
        place = end
    assert not any(c.isalnum() for c in text[place:])
