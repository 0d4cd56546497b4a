from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.retrieval.words import content, exact, negated, numbers, stem, words


def test_content_words_are_reduced_and_others_left_out() -> None:
    assert content("What were the streets after the raining?") == ["street", "rain"]
    assert content("the max-bytes of SHA-256") == ["max", "byte", "sha-256"]
    assert content("to be or not to be") == []


@pytest.mark.parametrize(
    "forms",
    [
        ("receipt", "receipts"),
        ("policy", "policies"),
        ("box", "boxes"),
        ("stop", "stopped", "stopping"),
        ("replace", "replaced", "replaces"),
        ("process", "processes"),
        ("quick", "quickly"),
    ],
)
def test_forms_of_a_word_are_equal(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


def test_different_words_stay_different() -> None:
    each = ["bed", "bee", "sing", "red", "class", "bus", "this", "fly", "rate", "rat"]
    assert len({stem(word) for word in each}) == len(each)


def test_numbers_are_compared_without_their_commas() -> None:
    assert numbers("65,536 rows, 3.5 m, v2.0.1, 1,2") == {"65536", "3.5", "2.0.1", "1", "2"}
    assert numbers("65536.") == {"65536"}
    assert exact("q4_0")
    assert not exact("rain")


@pytest.mark.parametrize(
    ("text", "denies"),
    [
        ("It is kept.", False),
        ("It is not kept.", True),
        ("It isn’t kept.", True),
        ("It is never not kept.", False),
        ("Nobody knows.", True),
        ("a note on knots", False),
    ],
)
def test_denials(text: str, denies: bool) -> None:
    assert negated(text) is denies


@given(st.text())
def test_any_text_has_words(text: str) -> None:
    assert all(word == word.lower() or not word.isascii() for word in words(text))
    assert all(content(text))
