"""Each strategy against its definition, its properties, and ``transformers``."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation import logits_process as reference

from studiolo.sampler import strategies
from studiolo.sampler.history import History
from tests.sampler import naive

NONE = History()
Cut = Callable[[Tensor, float], Tensor]

# Few distinct values, so that ties are the rule, and excluded tokens among them.
tied = st.lists(st.sampled_from([-math.inf, -3.0, -0.0, 0.0, 0.5, 2.0]), min_size=1, max_size=300)
spread = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=300)
logits_lists = (tied | spread).filter(lambda values: max(values) > -math.inf)
fractions = st.floats(0, 1)

CUTS: dict[str, Cut] = {
    "top_k": lambda x, p: strategies.top_k(x, NONE, k=1 + int(p * x.numel())),
    "top_p": lambda x, p: strategies.top_p(x, NONE, p=p),
    "min_p": lambda x, p: strategies.min_p(x, NONE, fraction=p),
    "typical": lambda x, p: strategies.typical(x, NONE, p=p),
}


def flat_and_peaked(size: int, seed: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    flat = torch.randn(size, generator=rng)
    return [flat, flat * 6, (flat * 4).round() / 4]


def alive(logits: Tensor) -> set[int]:
    return set(torch.nonzero(logits > -torch.inf).flatten().tolist())


@given(logits_lists, st.integers(1, 320))
def test_highest_equals_a_full_sort(values: list[float], count: int) -> None:
    array = np.array(values, dtype=np.float32)
    assert strategies.highest(array, count).tolist() == naive.ranked(array)[:count]


@pytest.mark.parametrize("size", [1, 17, 4_000, 49_152])
def test_highest_equals_a_full_sort_at_every_size(size: int) -> None:
    for logits in flat_and_peaked(size, 0):
        array = logits.numpy()
        order = naive.ranked(array)
        for count in (1, 2, 40, 1_000, size - 1, size):
            if count:
                assert strategies.highest(array, count).tolist() == order[:count]


@given(logits_lists, fractions, st.integers(1, 320))
def test_cuts_equal_their_definitions(values: list[float], p: float, k: int) -> None:
    array = np.array(values, dtype=np.float32)
    logits = torch.from_numpy(array)
    assert torch.equal(strategies.top_k(logits, NONE, k=k), naive.top_k(array, k))
    assert alive(strategies.top_p(logits, NONE, p=p)) <= alive(logits)
    # Where p falls on the running sum to the last bit, the definition itself depends on
    # how it is rounded; the strategy must then agree with the definition just beside.
    near = [p, p * (1 - 1e-12), min(1.0, p * (1 + 1e-12))]
    found = strategies.top_p(logits, NONE, p=p)
    assert p == 1 or any(torch.equal(found, naive.top_p(array, q)) for q in near)
    found = strategies.min_p(logits, NONE, fraction=p)
    near = [p, p * (1 - 1e-6), min(1.0, p * (1 + 1e-6))]
    assert any(torch.equal(found, naive.min_p(array, q)) for q in near)


@pytest.mark.parametrize("size", [5, 200, 3_000, 49_152])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.9, 0.999])
def test_nuclei_equal_their_definitions_at_every_size(size: int, p: float) -> None:
    for logits in flat_and_peaked(size, 1):
        array = logits.numpy()
        assert torch.equal(strategies.top_p(logits, NONE, p=p), naive.top_p(array, p))
        # Entropy is a long sum, whose rounding may order two near-equal distances
        # otherwise: compare what is kept, up to such a swap at the edge.
        found, expected = strategies.typical(logits, NONE, p=p), naive.typical(array, p)
        assert len(alive(found) ^ alive(expected)) <= 2


@given(logits_lists, fractions)
def test_cuts_keep_values_and_never_everything_out(values: list[float], p: float) -> None:
    logits = torch.tensor(values)
    before = logits.clone()
    for name, cut in CUTS.items():
        kept = cut(logits, p)
        assert kept.dtype == torch.float32, name
        assert alive(kept), name
        assert alive(kept) <= alive(logits), name
        ids = sorted(alive(kept))
        assert torch.equal(kept[ids], logits[ids]), name
        assert torch.equal(logits, before), f"{name} changed its input"


@given(logits_lists, fractions, fractions)
def test_a_looser_cut_keeps_all_that_a_tighter_one_does(
    values: list[float], p: float, q: float
) -> None:
    logits = torch.tensor(values)
    low, high = sorted((p, q))
    for name in ("top_k", "top_p", "typical"):
        assert alive(CUTS[name](logits, low)) <= alive(CUTS[name](logits, high)), name
    assert alive(CUTS["min_p"](logits, high)) <= alive(CUTS["min_p"](logits, low))


@given(logits_lists)
def test_off_is_the_identity(values: list[float]) -> None:
    logits = torch.tensor(values)
    for off in (
        strategies.top_k(logits, NONE, k=len(values)),
        strategies.top_p(logits, NONE, p=1.0),
        strategies.min_p(logits, NONE, fraction=0.0),
        strategies.typical(logits, NONE, p=1.0),
        strategies.temperature(logits, NONE, temperature=1.0),
        strategies.repetition_penalty(logits, History([0]), penalty=1.0),
        strategies.logit_bias(logits, NONE, bias={}),
    ):
        assert torch.equal(off, logits)


@given(st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=60, unique=True), fractions)
def test_without_ties_a_renaming_of_tokens_changes_nothing(values: list[float], p: float) -> None:
    logits = torch.tensor(values)
    names = torch.randperm(len(values), generator=torch.Generator().manual_seed(len(values)))
    for name in ("top_k", "min_p"):
        assert torch.equal(CUTS[name](logits[names], p), CUTS[name](logits, p)[names]), name


@given(logits_lists, st.floats(0.1, 10))
def test_temperature_keeps_the_order(values: list[float], temperature: float) -> None:
    logits = torch.tensor(values)
    changed = strategies.temperature(logits, NONE, temperature=temperature)
    order = torch.argsort(logits, stable=True)
    assert bool((changed[order][1:] >= changed[order][:-1]).all())


def test_penalties_by_hand() -> None:
    logits = torch.tensor([2.0, -2.0, 1.0, 0.0, -torch.inf])
    history = History([0, 4], [1, 1, 2])
    repeated = strategies.repetition_penalty(logits, history, penalty=2.0)
    assert repeated.tolist() == [1.0, -4.0, 0.5, 0.0, -math.inf]
    present = strategies.presence_penalty(logits, history, penalty=0.5)
    assert present.tolist() == [2.0, -2.5, 0.5, 0.0, -math.inf]
    frequent = strategies.frequency_penalty(logits, history, penalty=0.5)
    assert frequent.tolist() == [2.0, -3.0, 0.5, 0.0, -math.inf]
    biased = strategies.logit_bias(logits, history, bias={3: -100.0, 0: 1.5})
    assert biased.tolist() == [3.5, -2.0, 1.0, -100.0, -math.inf]
    assert logits.tolist() == [2.0, -2.0, 1.0, 0.0, -math.inf]


def test_penalties_pass_over_ids_beyond_the_head() -> None:
    logits, history = torch.ones(3), History([7], [1, 9])
    assert strategies.repetition_penalty(logits, history, penalty=2.0).tolist() == [1, 0.5, 1]
    assert strategies.presence_penalty(logits, history, penalty=1.0).tolist() == [1, 0, 1]
    assert strategies.frequency_penalty(logits, history, penalty=1.0).tolist() == [1, 0, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type_is_taken(dtype: torch.dtype) -> None:
    logits = torch.tensor([1.0, 3.0, 2.0], dtype=dtype)
    assert strategies.top_k(logits, NONE, k=2).tolist() == [-math.inf, 3.0, 2.0]


@pytest.mark.parametrize("size", [50, 5_000])
@pytest.mark.parametrize("seed", range(4))
def test_parity_with_transformers(size: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(size, generator=rng) * 3
    prompt = torch.randint(size, (30,), generator=rng)
    history = History(prompt.tolist()[:20], prompt.tolist()[20:])
    pairs = [
        (
            strategies.temperature(logits, history, temperature=0.7),
            reference.TemperatureLogitsWarper(0.7),
        ),
        (strategies.top_k(logits, history, k=12), reference.TopKLogitsWarper(12)),
        (strategies.top_p(logits, history, p=0.9), reference.TopPLogitsWarper(0.9)),
        (strategies.min_p(logits, history, fraction=0.03), reference.MinPLogitsWarper(0.03)),
        (strategies.typical(logits, history, p=0.8), reference.TypicalLogitsWarper(0.8)),
        (
            strategies.repetition_penalty(logits, history, penalty=1.3),
            reference.RepetitionPenaltyLogitsProcessor(1.3),
        ),
        (
            strategies.logit_bias(logits, history, bias={3: -7.0, 11: 2.5}),
            reference.SequenceBiasLogitsProcessor([[[3], -7.0], [[11], 2.5]]),
        ),
    ]
    for ours, processor in pairs:
        theirs = processor(prompt[None], logits[None].clone())[0]
        torch.testing.assert_close(ours, theirs, msg=type(processor).__name__)
