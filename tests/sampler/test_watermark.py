from __future__ import annotations

import hashlib
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.sampler.decoding import draw, generator, pick
from studiolo.sampler.history import History
from studiolo.sampler.settings import Decoding
from studiolo.sampler.watermark import (
    CONTEXT,
    HEAD,
    LAYERS,
    SCHEME,
    Marker,
    Watermark,
    bits,
    tournament,
)

KEY = Watermark(bytes(range(32)))
GOLDEN_SEED = ["04578e4cb96dbd99", "5c42702e3b4a27f5"]
GOLDEN_BITS = ["1f10a03ab7d1b30a", "62d9bb970340ad63", "13bd6b0715395ad3"]


def test_golden_bits() -> None:
    """What a key marks must never change: texts out there carry it."""
    seed = KEY.seed([1, 2, 3, 4])
    assert [f"{word:016x}" for word in seed] == GOLDEN_SEED
    assert [f"{int(word):016x}" for word in bits(seed, np.array([0, 1, 49_151]))] == GOLDEN_BITS
    assert KEY.digest == hashlib.sha256(SCHEME + b"\n" + KEY.key).hexdigest()


def mixed(word: int) -> int:
    """SplitMix64's finaliser, in whole numbers."""
    mask = (1 << 64) - 1
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & mask
    word = (word ^ word >> 27) * 0x94D049BB133111EB & mask
    return word ^ word >> 31


@given(a=st.integers(0, 2**64 - 1), b=st.integers(0, 2**64 - 1), id=st.integers(0, 2**31))
def test_bits_are_those_of_whole_numbers(a: int, b: int, id: int) -> None:
    word = (a + (id + 1) * 0x9E3779B97F4A7C15) % 2**64
    assert int(bits((a, b), np.array([id]))[0]) == mixed(mixed(word) ^ b)


def test_bits_are_fair_and_independent_of_each_other() -> None:
    """Over contexts and ids: every layer's share of ones, and every pair of layers' agreement."""
    words = np.concatenate([bits(KEY.seed([c, 2, 3, 4]), np.arange(100)) for c in range(1000)])
    ones = (words[:, None] >> np.arange(LAYERS, dtype=np.uint64) & np.uint64(1)).astype(float)
    error = 5 / np.sqrt(4 * len(words))
    assert np.abs(ones.mean(axis=0) - 0.5).max() < error
    signs = 2 * ones - 1
    agreement = signs.T @ signs / len(words)
    np.fill_diagonal(agreement, 0)
    assert np.abs(agreement).max() < 2 * error


def played(p: list[float], g: list[int]) -> dict[int, float]:
    """One match in full: two drawn, the one whose bit is higher wins, of equals either."""
    won = dict.fromkeys(range(len(p)), 0.0)
    for x, y in itertools.product(range(len(p)), repeat=2):
        for winner in [x, y] if g[x] == g[y] else [max(x, y, key=lambda each: g[each])] * 2:
            won[winner] += p[x] * p[y] / 2
    return won


@pytest.mark.parametrize("context", range(5))
def test_the_winners_of_all_layers_are_as_if_played(context: int) -> None:
    p = np.array([0.4, 0.25, 0.15, 0.05, 0.15])
    seed, ids = KEY.seed([context, 2, 3, 4]), np.array([3, 8, 11, 200, 5000])
    expected = p.tolist()
    words = bits(seed, ids).tolist()
    for layer in range(LAYERS):
        won = played(expected, [word >> layer & 1 for word in words])
        expected = [won[i] / sum(won.values()) for i in range(5)]  # or rounding would double
    assert tournament(seed, ids, p * 7) / 7 == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [5, 3 * HEAD])
def test_over_the_keys_nothing_is_distorted(size: int) -> None:
    """The mean of the changed distributions is the unchanged one, within its standard error.

    After thirty layers nearly all is one candidate's, so that p (1 - p) is the variance at most.
    """
    rng = np.random.default_rng(1)
    p = rng.exponential(size=size) ** (1 if size == 5 else 2)
    p /= p.sum()
    count, total = (4000 if size == 5 else 1000), np.zeros(size)
    for i in range(count):
        seed = Watermark(i.to_bytes(32, "big")).seed([1, 2, 3, 4])
        changed = tournament(seed, np.arange(size), p)
        assert changed.sum() == pytest.approx(1)
        total += changed
    often = p * count > 2
    z = ((total / count - p) / np.sqrt(p * (1 - p) / count))[often]
    assert often.sum() > size / 40
    assert np.abs(z).max() < 4.5
    assert (z**2).mean() < (3 if size == 5 else 1.3)


def test_what_is_excluded_stays_excluded() -> None:
    logits = torch.full((1000,), -torch.inf)
    logits[[7, 300, 301]] = torch.tensor([1.0, 2.0, 1.5])
    marker, rng = Marker(KEY), generator(3)
    text = [7, 300, 301, 7]
    for _ in range(200):
        text.append(draw(logits, rng, marker.next(text)))
    assert set(text) <= {7, 300, 301}


def test_a_draw_takes_one_uniform_marked_or_not() -> None:
    logits = torch.linspace(0, 3, 50)
    a, b = generator(5), generator(5)
    draw(logits, a)
    draw(logits, b, Marker(KEY).next([1, 2, 3, 4]))
    assert torch.equal(a.get_state(), b.get_state())


def test_dials_come_first() -> None:
    """Whatever mark there is, what is drawn is among the two likeliest."""
    logits = torch.linspace(0, 3, 50)
    settings = Decoding.checked(top_k=2)
    marker, history, rng = Marker(KEY), History((), [1, 2, 3, 4]), generator(5)
    for _ in range(100):
        token = pick(logits, history, settings, rng, marker.next(history.generated))
        assert token in (48, 49)
        history.append(token)


def test_a_context_marks_once_and_only_when_it_is_whole() -> None:
    marker = Marker(KEY)
    assert all(marker.next([1] * n) is None for n in range(CONTEXT))
    assert marker.next([1, 1, 1, 1]) is not None
    assert marker.next([2, 1, 1, 1, 1]) is None
    assert marker.next([1, 1, 1, 2]) is not None
    assert Marker(KEY).next([1, 1, 1, 1]) is not None


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidRequestError, match="a key has 32 bytes"):
        Watermark(bytes(length))


def test_a_key_is_not_shown() -> None:
    assert "x01" not in repr(KEY)


OPTIONS: dict[str, Any] = {"max_tokens": 60, "seed": 3, "temperature": 1.0, "ignore_eos": True}


def test_a_model_marks_in_the_same_bits_whoever_is_beside(tiny: str) -> None:
    """Alone, as one of several, and with guesses read ahead in texts that repeat themselves."""
    import studiolo
    from studiolo.guard.detector import examine

    lm = studiolo.load(tiny, device="cpu")
    alone = lm.generate("the cat sat on the mat " * 3, watermark=KEY, top_k=3, **OPTIONS)
    several = lm.generate("the cat sat on the mat " * 3, watermark=KEY, top_k=3, n=3, **OPTIONS)
    assert several.token_ids == alone.token_ids
    plain = lm.generate("the cat sat on the mat " * 3, top_k=3, **OPTIONS)
    assert plain.token_ids != alone.token_ids
    assert examine(alone.token_ids, KEY).log10_p < -3
    assert examine(plain.token_ids, KEY).log10_p > -3


def test_a_receipt_tells_of_the_mark_and_older_ones_are_as_they_were(tiny: str) -> None:
    import studiolo
    from studiolo.record.receipt import Receipt

    lm = studiolo.load(tiny, device="cpu")
    marked, plain = (lm.generate("the", watermark=key, **OPTIONS) for key in (KEY, None))
    receipt = Receipt.parse(lm.receipt(marked).to_bytes())
    assert receipt.asked.watermark == KEY.digest
    assert b"watermark" not in lm.receipt(plain).to_bytes()


def test_a_constraint_holds_under_the_mark(tiny: str) -> None:
    import studiolo

    lm = studiolo.load(tiny, device="cpu")
    made = lm.generate("the", watermark=KEY, regex="[a-c]{30,40}", **OPTIONS)
    assert set(made.text) <= set("abc")


@pytest.mark.parametrize("options", [{"temperature": 0}, {"beams": 2}])
def test_where_nothing_is_drawn_no_mark_can_be(tiny: str, options: dict[str, Any]) -> None:
    import studiolo

    lm = studiolo.load(tiny, device="cpu")
    with pytest.raises(InvalidRequestError, match="watermark: is laid into random draws"):
        lm.generate("the", watermark=KEY, **options)
