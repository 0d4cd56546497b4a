"""Guesses: what is looked up against a search of the whole, and when they are worth a row."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest

from studiolo.sampler.speculation import ROWS, SIZES, Lookup


def followed(tokens: Sequence[int]) -> int | None:
    """What followed the latest earlier occurrence of the last few tokens, by searching."""
    for size in SIZES:
        end = list(tokens[-size:])
        for at in range(len(tokens) - size - 1, -1, -1):
            if len(tokens) >= size and list(tokens[at : at + size]) == end:
                return tokens[at + size]
    return None


@pytest.mark.parametrize("prompt", [0, 1, 2, 30])
def test_the_first_guess_is_what_followed_the_latest_occurrence(prompt: int) -> None:
    rng = random.Random(prompt)
    found = 0
    tokens = rng.choices(range(6), k=prompt)
    lookup = Lookup(tokens)
    matched = False  # a match that holds is followed on, even where a later one begins
    for _ in range(400):
        lookup._chances = [1.0] * len(lookup._chances)
        guesses = lookup.guess(1)
        expected = followed(tokens)
        if not matched:
            assert guesses == (() if expected is None else (expected,))
            found += bool(guesses)
        token = rng.randrange(6)
        matched = guesses == (token,)
        tokens.append(token)
        lookup.append(token)
    assert found > 200


def test_a_copy_is_guessed_whole_and_a_repetition_runs_on_into_itself() -> None:
    copied = Lookup([*range(10, 40), 99, 10])
    for token in range(11, 20):
        copied.append(token)
    assert copied.guess(100) == tuple(range(20, 20 + ROWS - 1))
    assert copied.guess(3) == (20, 21, 22)
    round_and_round = Lookup([1, 2, 3] * 4)
    for token in [1, 2, 3] * 4:
        round_and_round.append(token)
    assert round_and_round.guess(5) == (1, 2, 3, 1, 2)


def test_what_is_never_right_is_not_guessed_until_it_is_again() -> None:
    rng = random.Random(1)
    lookup = Lookup([7, 8])
    for _ in range(60):  # what follows "7 8" is never the same
        for token in (rng.randrange(100, 10**9), 7, 8):
            lookup.append(token)
    assert lookup.guess(7) == ()
    for token in [5, 7, 8] * 30:
        lookup.append(token)
    assert lookup.guess(7) == (5, 7, 8, 5, 7, 8, 5)


def test_guesses_leave_room_for_company_and_ask_more_of_themselves_in_it() -> None:
    lookup = Lookup([1, 2, 3] * 20)
    for token in [1, 2, 3] * 20:
        lookup.append(token)
    counts = [len(lookup.guess(100, company)) for company in range(1, 12)]
    assert counts[0] == ROWS - 1
    assert counts == sorted(counts, reverse=True)
    assert all(company * (1 + count) <= ROWS for company, count in enumerate(counts, 1) if count)
    lookup._chances = [0.25] * len(lookup._chances)
    assert len(lookup.guess(100, 1)) == 1
    assert lookup.guess(100, 3) == ()


@pytest.mark.parametrize("most", [0, -1])
def test_nothing_is_guessed_where_nothing_may_be(most: int) -> None:
    assert Lookup([1, 1, 1, 1]).guess(most) == ()
    assert Lookup([]).guess(5) == Lookup([1]).guess(5) == Lookup([1, 2]).guess(5) == ()


def test_a_long_text_costs_no_more_for_each_token() -> None:
    rng = random.Random(3)

    def seconds(count: int) -> float:
        tokens = rng.choices(range(50), k=count)
        started = time.thread_time()
        lookup = Lookup(tokens)
        for token in tokens:
            lookup.append(token)
            lookup.guess(7)
        return (time.thread_time() - started) / count

    assert min(seconds(40_000) for _ in range(3)) < 6 * min(seconds(2_000) for _ in range(3))
