from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from studiolo.guard.detector import MOST, WEIGHTS, Evidence, examine, log10_tail
from studiolo.sampler.watermark import CONTEXT, LAYERS, Marker, Watermark, bits

KEY = Watermark(bytes(range(32)))


def exactly(count: int) -> list[int]:
    """How many of the 2**(30 count) throws of fair coins give each sum: whole numbers alone."""
    ways = [1]
    for _ in range(count):
        for weight in WEIGHTS:
            longer = [*ways, *([0] * weight)]
            for at, number in enumerate(ways):
                longer[at + weight] += number
            ways = longer
    return ways


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_tail_is_that_of_the_coins(count: int) -> None:
    ways = exactly(count)
    above, whole = 0, 1 << (LAYERS * count)
    for total in reversed(range(len(ways))):
        above += ways[total]
        exact = math.log10(Fraction(above, whole))
        assert log10_tail(total, count) == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_a_bound_where_it_is_long_and_never_below_the_truth() -> None:
    for share in (0.5, 0.505, 0.52, 0.6):
        exact = log10_tail(int(MOST * 165 * share), MOST)
        bound = log10_tail(int((MOST + 1) * 165 * share), MOST + 1)
        assert exact - 0.2 < bound < exact + 4


def test_weights_fall_from_ten_to_one() -> None:
    assert (len(WEIGHTS), WEIGHTS[0], WEIGHTS[-1], sum(WEIGHTS)) == (LAYERS, 10, 1, 165)


def test_unmarked_texts_have_the_p_values_that_chance_gives() -> None:
    """Uniform p-values, by Kolmogorov's test; the texts repeat themselves, as texts do."""
    draw = random.Random(1)
    found = []
    for _ in range(300):
        words = [draw.randrange(50_000) for _ in range(30)]
        text = [draw.choice(words) for _ in range(60)] + words * 2
        found.append(examine(text, KEY).p_value)
    ranked = np.sort(found)
    distance = np.abs(ranked - np.arange(1, 301) / 300).max()
    assert distance < 1.63 / math.sqrt(300)  # 1 % of honest ones fail this


def marked(count: int, vocabulary: int, seed: int) -> list[int]:
    """Tokens drawn uniformly, with a mark."""
    rng, marker, text = np.random.default_rng(seed), Marker(KEY), list[int]()
    ids = np.arange(vocabulary)
    for _ in range(count):
        reweigh = marker.next(text)
        weights = np.ones(vocabulary)
        weights = weights if reweigh is None else reweigh(ids, weights)
        text.append(int(rng.choice(vocabulary, p=weights / weights.sum())))
    return text


def test_a_marked_text_is_found_with_its_key_and_no_other() -> None:
    text = marked(100, 200, 1)
    assert examine(text, KEY).log10_p < -30
    assert examine(text, Watermark(bytes(32))).log10_p > -4
    assert examine(text[::-1], KEY).log10_p > -4


def test_where_nothing_is_chosen_nothing_is_found() -> None:
    evidence = examine(marked(60, 1, 1), KEY)
    assert evidence.scored == 1
    assert evidence.log10_p > -10


def test_a_part_that_was_changed_takes_its_own_evidence_alone() -> None:
    text = marked(120, 200, 2)
    middle = [*text[:60], 7, *text[61:]]
    assert examine(middle, KEY).log10_p < -30


def test_a_refrain_is_no_evidence() -> None:
    text = marked(30, 200, 3)
    once, often = examine(text, KEY), examine(text * 20, KEY)
    assert often.scored <= once.scored + 2 * CONTEXT
    assert often.log10_p > 3 * once.log10_p


@pytest.mark.parametrize("length", range(CONTEXT + 1))
def test_of_too_few_tokens_nothing_can_be_said(length: int) -> None:
    assert examine(list(range(length)), KEY) == Evidence(0, None, 0.0)


def test_the_score_is_the_mean_weighted_bit() -> None:
    text = [5, 6, 7, 8, 9, 10]
    expected = 0
    for place in (4, 5):
        word = int(bits(KEY.seed(text[place - 4 : place]), np.array([text[place]]))[0])
        expected += sum(w for layer, w in enumerate(WEIGHTS) if word >> layer & 1)
    evidence = examine(text, KEY)
    assert evidence.scored == 2
    assert evidence.score == pytest.approx(expected / 330)
