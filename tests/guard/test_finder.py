from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.guard.finder import Finder, outside, settled
from studiolo.guard.finding import Finding, Kind
from tests.guard.samples import HARMLESS

LETTER = """Dear Mary Smith,

your card 4111 1111 1111 1111 (exp 04/27, CVV 123) was charged on 2024-01-05. Write to
mary.smith@example.co.uk or call 415-555-0132.
Yours, Dr. Jones
"""
SPAN = st.tuples(
    st.integers(0, 30), st.integers(1, 15), st.sampled_from(list(Kind)), st.floats(0.5, 1)
)


def test_a_letter(finder: Finder) -> None:
    assert [(each.kind.value, LETTER[each.start : each.end]) for each in finder.find(LETTER)] == [
        ("NAME", "Mary Smith"),
        ("CREDIT_DEBIT_CARD_NUMBER", "4111 1111 1111 1111"),
        ("CREDIT_DEBIT_CARD_EXPIRY", "04/27"),
        ("CREDIT_DEBIT_CARD_CVV", "123"),
        ("EMAIL", "mary.smith@example.co.uk"),
        ("PHONE", "415-555-0132"),
        ("NAME", "Jones"),
    ]


def test_only_the_kinds_asked_for(finder: Finder) -> None:
    some = Finder([Kind.EMAIL])
    assert {each.kind for each in some.find(LETTER)} == {Kind.EMAIL}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_is_left(finder: Finder, text: str) -> None:
    assert finder.find(text) == []


def test_what_is_wrapped_is_found(finder: Finder) -> None:
    text = "the account is GB82 WEST 1234\n5698 7654 32 in London"
    assert [each.kind for each in finder.find(text)] == [Kind.INTERNATIONAL_BANK_ACCOUNT_NUMBER]


@given(st.lists(SPAN, max_size=8))
def test_settled_covers_all_and_overlaps_nowhere(spans: list[tuple[int, int, Kind, float]]) -> None:
    text = "x" * 50
    found = [Finding(start, start + size, kind, score) for start, size, kind, score in spans]
    out = settled(text, found)
    assert out == sorted(out)
    assert all(a.end <= b.start for a, b in pairwise(out))
    covered = {i for each in out for i in range(each.start, each.end)}
    assert covered == {i for each in found for i in range(each.start, each.end)}


def test_the_larger_stands_and_the_surer_keeps_what_they_share() -> None:
    url, mail = Finding(0, 20, Kind.URL, 0.7), Finding(5, 15, Kind.EMAIL, 0.95)
    assert settled("x" * 20, [url, mail]) == [url]
    card, pin = Finding(0, 10, Kind.CREDIT_DEBIT_CARD_NUMBER, 1), Finding(8, 14, Kind.PIN, 0.6)
    assert settled("x" * 14, [card, pin]) == [card, Finding(10, 14, Kind.PIN, 0.6)]


def test_outside() -> None:
    one = Finding(0, 10, Kind.NAME, 0.7)
    assert outside("ab (x) cde", [one], [(3, 6)]) == [
        Finding(0, 2, Kind.NAME, 0.7),
        Finding(7, 10, Kind.NAME, 0.7),
    ]
    assert outside("ab", [Finding(0, 2, Kind.NAME, 0.7)], [(0, 2)]) == []


def test_several_threads_do_not_mix_their_texts(finder: Finder) -> None:
    texts = [
        f"{name} Smith called from 415-555-01{i:02}." for i, name in enumerate(["Ann", "Bob"] * 9)
    ]
    expected = [finder.find(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(finder.find, texts * 5)) == expected * 5


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_be_read(text: str) -> None:
    finder = Finder()
    assert "".join(part for _, part in finder.parts(text)) == text
    assert all(0 <= each.start < each.end <= len(text) for each in finder.find(text))
