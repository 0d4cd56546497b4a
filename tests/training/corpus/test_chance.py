from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from studiolo.training.corpus.chance import chance


def test_it_is_evenly_spread_and_follows_from_the_words() -> None:
    drawn = np.array([chance(1, "weight", i) for i in range(20_000)])
    counts, _ = np.histogram(drawn, bins=20, range=(0, 1))
    # Chi-squared with 19 degrees of freedom: 43.8 is exceeded once in a thousand.
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8
    assert chance("a", "b") != chance("ab") != chance("b", "a")
    assert chance("rain") == 0.8721159650202887


@given(st.lists(st.text()))
def test_any_words_give_a_number_below_one(words: list[str]) -> None:
    assert 0 <= chance(*words) < 1
