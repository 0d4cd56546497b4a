"""Rounding to 8 bits: how far it is off at most, at every magnitude, and what it cannot hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from studiolo.nn.packed import GROUP, SUPER, Packed, pack
from tests.nn.packs import ALL_FORMS, random_packed


def bound(weight: Tensor, part: float) -> Tensor:
    """A part of the largest of each group, and half of float16's smallest step."""
    outputs, inputs = weight.shape
    padded = torch.nn.functional.pad(weight.double(), (0, -inputs % GROUP))
    largest = padded.view(outputs, -1, GROUP).abs().amax(-1, keepdim=True)
    most = (part * largest + 2.0**-25).expand(-1, -1, GROUP)
    return most.reshape(outputs, -1)[:, :inputs]


@settings(max_examples=60, deadline=None)
@given(
    outputs=st.integers(1, 20),
    inputs=st.integers(1, 100),
    exponent=st.integers(-40, 22),
    seed=st.integers(0, 2**32),
    twelve=st.booleans(),
)
@example(outputs=5, inputs=1, exponent=-5, seed=6753360, twelve=False)
def test_no_weight_is_further_off_than_promised(
    outputs: int, inputs: int, exponent: int, seed: int, twelve: bool
) -> None:
    """Normal, sparse and lopsided groups, subnormal scales, sizes that no group divides."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (outputs, inputs)) * rng.choice([0, 1e-3, 1], (outputs, inputs))
    weight = torch.from_numpy((values * 2.0**exponent).clip(-8.3e6, 8.3e6).astype(np.float32))
    packed = pack(weight, 12 if twelve else 8)
    kind, top, part = ("S12", 2047, 0.0005) if twelve else ("S8", 127, 0.005)
    assert (packed.kind, packed.outputs, packed.inputs) == (kind, outputs, inputs)
    assert packed.scale.shape == (outputs, -(-inputs // GROUP))
    assert packed.scale.dtype == torch.float16
    assert int(packed.codes.abs().max()) <= top
    error = (packed.floats().double() - weight.double()).abs()
    assert bool((error <= bound(weight, part)).all())


def test_a_usual_weight_is_near() -> None:
    weight = torch.randn(64, 512, generator=torch.Generator().manual_seed(0)) * 0.02
    error = (pack(weight).floats() - weight).norm() / weight.norm()
    assert 0.001 < float(error) < 0.008


def test_the_largest_keeps_its_sign_and_zero_stays_zero() -> None:
    weight = torch.zeros(3, 3 * GROUP)
    weight[0, 5], weight[1, 40], weight[2, 95] = -2.0, 1e-7, 3e5
    packed = pack(weight)
    assert (packed.codes != 0).sum() == 3
    assert int(packed.codes[0, 5]) == -127
    assert int(packed.codes[2, 95]) == 127
    assert torch.equal(packed.floats() != 0, weight != 0)
    assert bool((pack(torch.zeros(2, 40)).floats() == 0).all())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e9, -1e30])
def test_what_cannot_be_held_is_never_silent(value: float) -> None:
    weight = torch.ones(4, 70)
    weight[2, 33] = value
    finite = pack(weight).scale.isfinite()
    assert not finite[2, 1]
    assert int(finite.sum()) == 11


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_is_taken(dtype: torch.dtype) -> None:
    weight = torch.randn(5, 33, generator=torch.Generator().manual_seed(1)).to(dtype)
    same = pack(weight.float())
    assert torch.equal(pack(weight).codes, same.codes)
    assert torch.equal(pack(weight.T.contiguous().T).codes, same.codes)


def test_two_levels_are_products_of_scale_and_factor() -> None:
    """By hand: w = d s q - m t q's group, for two groups under one pair of float16."""
    packed = Packed(
        "U4",
        32,
        torch.arange(SUPER, dtype=torch.int8)[None] % 16,
        torch.tensor([[0.5]], dtype=torch.float16),
        torch.tensor([[2.0]], dtype=torch.float16),
        torch.arange(8, dtype=torch.uint8)[None],
        torch.full((1, 8), 63, dtype=torch.uint8),
    )
    offsets = packed.offsets()
    assert packed.scales().tolist() == [[0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]]
    assert offsets is not None
    assert offsets.tolist() == [[-126.0] * 8]
    assert packed.floats()[0, 32 * 7 + 3] == 3.5 * 3 - 126


@pytest.mark.parametrize("name", ALL_FORMS)
def test_some_rows_are_rows_of_all(name: str) -> None:
    packed = random_packed(ALL_FORMS[name], 20, 512, np.random.default_rng(0))
    rows = torch.tensor([3, 3, 19, 0])
    assert torch.equal(packed.floats(rows), packed.floats()[rows])
    assert packed.floats().dtype == torch.float32


@pytest.mark.parametrize("name", ALL_FORMS)
def test_a_split_is_rows_in_order(name: str) -> None:
    packed = random_packed(ALL_FORMS[name], 20, 256, np.random.default_rng(1))
    parts = packed.split([3, 16, 1])
    assert [part.outputs for part in parts] == [3, 16, 1]
    assert torch.equal(torch.cat([part.floats() for part in parts]), packed.floats())
