"""Each function of the arithmetic against the same formula in float64, or against torch's own."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from studiolo.nn import specification as spec
from studiolo.nn.adapter import Update
from studiolo.nn.config import RopeConfig
from studiolo.nn.rope import turns
from tests.nn.packs import ALL_FORMS, product, random_packed, same

EPSILON = 2.0**-24  # half a unit in the last place of float32, relatively


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    drawn = np.random.default_rng(seed).normal(0, scale, shape)
    return torch.from_numpy(drawn.astype(np.float32))


# --- rounding activations -------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    rows=st.integers(1, 6),
    size=st.integers(1, 70),
    exponent=st.integers(-90, 120),
    seed=st.integers(0, 2**32),
)
def test_codes_are_16_bits_and_half_a_step_off_at_most(
    rows: int, size: int, exponent: int, seed: int
) -> None:
    x = normal(rows, size, seed=seed) * 2.0**exponent
    x[0, 0] = 2.0**exponent  # no row but the first may be all tiny
    codes, scale = spec.quantize(x)
    assert codes.dtype == torch.int32
    assert scale.shape == (rows, 1)
    assert int(codes.abs().max()) <= 32767
    largest = x.abs().amax(1)
    counts = largest >= spec.LEAST
    assert bool((codes.abs().amax(1)[counts] == 32767).all())
    error = (codes.double() * scale.double() - x.double()).abs()[counts]
    # Half a step, and what the rounding of the step itself adds at its 32,767th multiple.
    assert bool((error <= scale.double()[counts] * (0.5 + 32767 * 3 * EPSILON)).all())


def test_rows_of_zeros_and_of_almost_nothing_are_zero() -> None:
    x = torch.zeros(4, 9)
    x[1], x[2, 3], x[3, 3] = -0.0, 2.0**-101, -(2.0**-100)
    codes, scale = spec.quantize(x)
    assert bool((codes[:3] == 0).all())
    assert scale.flatten().tolist() == [0, 0, 0, np.float32(2.0**-100) / np.float32(32767)]
    assert int(codes[3, 3]) == -32767


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_row_that_is_no_number_gives_none_and_spoils_no_other(value: float) -> None:
    x = normal(5, 64)
    x[2, 17] = value
    codes, scale = spec.quantize(x)
    assert scale.isnan().flatten().tolist() == [False, False, True, False, False]
    weight = random_packed(ALL_FORMS["Q4_1"], 20, 64, np.random.default_rng(0))
    got = spec.linear(codes, scale, weight)
    assert (
        got.isnan().all(1).tolist() == got.isnan().any(1).tolist() == scale.isnan()[:, 0].tolist()
    )
    others = [0, 1, 3, 4]
    assert same(got[others], spec.linear(*spec.quantize(x[others]), weight))


# --- products -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL_FORMS)
def test_a_product_is_that_of_the_very_codes(name: str) -> None:
    """Within the rounding of one float sum a group: products themselves are exact."""
    form, rng = ALL_FORMS[name], np.random.default_rng(1)
    for outputs, inputs in [(9, 256), (40, 1024)] + ([] if form.two_levels else [(7, 45)]):
        weight = random_packed(form, outputs, inputs, rng)
        codes, scale = spec.quantize(normal(6, inputs, seed=2))
        x = codes.double() * scale.double()
        exact = x @ weight.floats().double().T
        sizes = x.abs() @ weight.floats().double().abs().T
        groups = inputs / form.group
        d = weight.scales().double().abs().repeat_interleave(form.group, 1)[:, :inputs]
        sizes = sizes + x.abs() @ (d * weight.codes.double().abs()).T
        error = (spec.linear(codes, scale, weight).double() - exact).abs()
        assert bool((error <= sizes * EPSILON * (2 * groups + 4)).all())


def test_a_product_is_exact_where_floats_are() -> None:
    """Scales that are powers of two and small sums: not one bit is off, in whatever order."""
    rng = np.random.default_rng(3)
    weight = random_packed(ALL_FORMS["Q8_0"], 12, 320, rng)
    weight.scale.fill_(0.5)
    codes = torch.from_numpy(rng.integers(-50, 50, (4, 320)).astype(np.int32))
    got = spec.linear(codes, torch.full((4, 1), 0.25), weight)
    assert torch.equal(got.double(), codes.double() @ weight.codes.double().T * 0.125)


def test_more_outputs_than_are_computed_at_once() -> None:
    weight = random_packed(ALL_FORMS["Q4_0"], spec.OUTPUTS + 37, 32, np.random.default_rng(4))
    codes, scale = spec.quantize(normal(2, 32))
    whole = spec.linear(codes, scale, weight)
    x = codes.double() * scale.double()
    assert torch.allclose(whole.double(), x @ weight.floats().double().T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ALL_FORMS)
def test_rows_are_looked_up_and_multiplied(name: str) -> None:
    rng = np.random.default_rng(5)
    table, weight = (random_packed(ALL_FORMS[name], n, 256, rng) for n in (11, 5))
    tokens = [3, 10, 3, 0]
    got = product(spec.Specification(), table, weight, tokens)
    expected = table.floats()[tokens].double() * 1.25 @ weight.floats().double().T
    assert torch.allclose(
        got.double(), expected, rtol=1e-3, atol=float(expected.abs().max()) * 1e-3
    )
    assert same(got[0], got[2])


# --- fused multiply-add ---------------------------------------------------------------------------


def exactly(a: float, b: float, c: float) -> float:
    """``a * b + c`` in rational numbers, rounded once: to the nearest, halves to even."""
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    finite = [x for x in around if np.isfinite(x)]
    return float(min(finite, key=lambda x: (abs(Fraction(float(x)) - exact), _bits(x) & 1)))


def _bits(x: np.float32) -> int:
    return int(x.view(np.int32))


SINGLES = st.floats(width=32, min_value=-(2.0**60), max_value=2.0**60, allow_subnormal=True)


@settings(max_examples=300, deadline=None)
@given(SINGLES, SINGLES, SINGLES)
@example(1 + 2.0**-23, 1 + 2.0**-23, 2.0**-60)
@example(2.0**-75, 2.0**-75, 2.0**-149)
def test_a_product_and_a_sum_are_rounded_once(a: float, b: float, c: float) -> None:
    got = spec.fused(torch.tensor([a]), torch.tensor([b]), torch.tensor([c]))
    assert float(got) == exactly(a, b, c)


@pytest.mark.parametrize("c", [2.0**30 + 128, -(2.0**30) - 384, 1.5 * 2.0**30 + 128])
def test_what_float64_would_round_twice_is_rounded_once(c: float) -> None:
    """A hair's breadth from the middle of two float32, less than a float64 can tell."""
    a, b = 8 * (1 + 2.0**-23), math.copysign(8 * (1 - 2.0**-23), c)
    got = spec.fused(torch.tensor([a]), torch.tensor([b]), torch.tensor([c]))
    assert float(got) == exactly(a, b, c) != float(np.float32(a * b + c))


# --- functions ------------------------------------------------------------------------------------


def test_the_exponential_is_within_two_units_in_the_last_place() -> None:
    x = torch.linspace(-87, 80, 400_001)
    relative = spec.exponential(x).double() / x.double().exp() - 1
    assert float(relative.abs().max()) < 4 * EPSILON
    small = normal(1000, scale=1e-4)
    assert float((spec.exponential(small).double() / small.double().exp() - 1).abs().max()) < 4e-7


def test_the_exponential_at_its_ends() -> None:
    least = spec.exponential(torch.tensor([-87.0, -88.0, -1e30, -torch.inf]))
    assert bool((least == least[0]).all())
    assert 0 < float(least[0]) < 2e-38
    assert float(spec.exponential(torch.zeros(1))) == 1.0
    assert bool(spec.exponential(torch.tensor([torch.nan])).isnan().all())


def test_the_logistic_function() -> None:
    x = torch.cat([torch.linspace(-80, 80, 100_001), torch.tensor([-1e30, 1e30])])
    got = spec.sigmoid(x).double()
    assert float((got - x.double().sigmoid()).abs().max()) < 2e-7
    inside = x.abs() < 80
    assert float((got[inside] / x.double().sigmoid()[inside] - 1).abs().max()) < 8 * EPSILON
    assert spec.sigmoid(torch.tensor([0.0])).item() == 0.5


def test_the_error_function() -> None:
    x = torch.cat([torch.linspace(-8, 8, 100_001), torch.tensor([-1e30, 1e30, 0.0, -0.0])])
    got = spec.error_function(x)
    assert float((got.double() - x.double().erf()).abs().max()) < 6e-7
    assert same(spec.error_function(-x[x != 0]), -got[x != 0])


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_tanh", "relu"])
def test_activations_are_torch_s(activation: str) -> None:
    x = torch.cat([torch.linspace(-12, 12, 100_001), normal(1000, scale=30)])
    exact = {
        "silu": F.silu(x.double()),
        "gelu": F.gelu(x.double()),
        "gelu_tanh": F.gelu(x.double(), approximate="tanh"),
        "relu": F.relu(x.double()),
    }[activation]
    error = (spec.activate(x, activation).double() - exact).abs()
    assert bool((error <= 1e-6 * (1 + x.abs())).all())
    undefined = spec.activate(torch.tensor([torch.nan]), activation)
    assert bool(undefined.isnan().all())
    assert spec.activate(torch.tensor([torch.inf]), activation).item() == math.inf


@pytest.mark.parametrize("size", [1, 7, 16, 48, 577])
def test_norms_are_torch_s(size: int) -> None:
    x, weight, bias = normal(9, size, scale=3) + 1, normal(size, seed=1), normal(size, seed=2)
    for eps in (1e-5, 1e-12):
        rms = F.rms_norm(x.double(), (size,), weight.double(), eps)
        assert torch.allclose(spec.norm(x, weight, None, eps).double(), rms, rtol=2e-6, atol=1e-6)
    layer = F.layer_norm(x.double(), (size,), weight.double(), bias.double(), 1e-5)
    got = spec.norm(x, weight, bias, 1e-5).double()
    assert torch.allclose(got, layer, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 300])
def test_a_sum_over_lanes_is_a_sum(size: int) -> None:
    whole = torch.from_numpy(np.random.default_rng(0).integers(-999, 999, (3, size))).float()
    assert torch.equal(spec.lane_sum(whole), whole.sum(-1, keepdim=True))
    # And its order is the one that is written down: lanes, then halves.
    x = normal(size)
    lanes = [np.float32(0)] * 16
    for i, value in enumerate(x.numpy()):
        lanes[i % 16] = lanes[i % 16] + value
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [a + b for a, b in zip(lanes[:half], lanes[half:], strict=True)]
    assert spec.lane_sum(x).item() == lanes[0]


def test_a_rotation_turns_pairs_by_their_angle() -> None:
    size, positions = 12, torch.tensor([0, 1, 5, 39])
    table = torch.from_numpy(turns(RopeConfig(base=100.0), size, 40))[positions]
    x = normal(4, 3, size)
    low, high = x.double().chunk(2, -1)
    angle = positions[:, None, None].double() * 100.0 ** (-torch.arange(6).double() / 6)
    turned = torch.complex(low, high) * torch.polar(torch.ones_like(angle), angle)
    expected = torch.cat([turned.real, turned.imag], -1)
    got = spec.rotate(x, table)
    assert torch.allclose(got.double(), expected, rtol=0, atol=2e-5)
    assert torch.equal(got[0], x[0])


# --- adapters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rank", "inputs", "outputs"), [(1, 1, 1), (8, 48, 33), (17, 577, 64)])
def test_a_low_rank_update_is_two_products(rank: int, inputs: int, outputs: int) -> None:
    update = Update(normal(rank, inputs), normal(outputs, rank, seed=1), 0.3)
    x = normal(6, inputs, seed=2)
    low = spec.shrink(x, update)
    expected = x.double() @ update.down.double().T * float(np.float32(0.3))
    assert torch.allclose(low.double(), expected, rtol=1e-5, atol=1e-5)
    got = spec.expand(low, update)
    assert torch.allclose(got.double(), expected @ update.up.double().T, rtol=1e-5, atol=1e-4)
    assert same(spec.expand(spec.shrink(x[3:4], update), update), got[3:4])


def test_the_order_of_an_update_s_sums_is_the_one_written_down() -> None:
    """Products over 16 lanes, folded in halves; then rank by rank; each fused with its sum."""
    x, update = normal(1, 40), Update(normal(3, 40, seed=1), normal(2, 3, seed=2), 1.7)
    lows = []
    for row in update.down.tolist():
        lanes = [0.0] * 16
        for i, (a, b) in enumerate(zip(x[0].tolist(), row, strict=True)):
            lanes[i % 16] = exactly(a, b, lanes[i % 16])
        while len(lanes) > 1:
            half = len(lanes) // 2
            pairs = zip(lanes[:half], lanes[half:], strict=True)
            lanes = [float(np.float32(a + b)) for a, b in pairs]
        lows.append(float(np.float32(lanes[0] * float(np.float32(1.7)))))
    low = spec.shrink(x, update)
    assert low[0].tolist() == lows
    for output, row in zip(spec.expand(low, update)[0].tolist(), update.up.tolist(), strict=True):
        total = 0.0
        for a, b in zip(lows, row, strict=True):
            total = exactly(a, b, total)
        assert output == total


# --- attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [0, 1, 7, 40])
@pytest.mark.parametrize("size", [6, 64])
def test_attention_is_torch_s(size: int, window: int) -> None:
    length, heads = 50, 3
    q, k, v = (normal(length, heads, size, seed=i) for i in range(3))
    until = torch.arange(length) + 1
    first = (until - window).clamp(min=0) if window else until * 0
    positions = torch.arange(length)
    mask = (positions < until[:, None]) & (positions >= first[:, None])
    heads_first = [x.transpose(0, 1).double() for x in (q, k, v)]
    expected = F.scaled_dot_product_attention(
        heads_first[0], heads_first[1], heads_first[2], attn_mask=mask, scale=0.3
    ).transpose(0, 1)
    got = spec.attend(q, k, v, first, until, 0.3)
    assert torch.allclose(got.double(), expected, rtol=0, atol=1e-5)
    some = torch.tensor([3, 49, 20])
    alone = spec.attend(q[some], k, v, first[some], until[some], 0.3)
    assert same(alone, got[some])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_attention_never_looks_where_it_may_not(value: float) -> None:
    """Later positions hold anything: what is not seen must not count, even 0 times infinity."""
    q, k, v = (normal(20, 2, 8, seed=i) for i in range(3))
    until = torch.arange(20) + 1
    first = (until - 4).clamp(min=0)
    clean = spec.attend(q, k, v, first, until, 1.0)
    k[11], v[11] = value, value
    got = spec.attend(q, k, v, first, until, 1.0)
    sees = (until > 11) & (first <= 11)
    assert same(got[~sees], clean[~sees])
    if math.isnan(value):
        assert bool(got[sees].isnan().all())


def test_large_scores_do_not_overflow() -> None:
    q, k, v = (normal(6, 1, 8, seed=i) for i in range(3))
    until = torch.full((6,), 6)
    got = spec.attend(q * 1e4, k * 1e4, v, until * 0, until, 1.0)
    best = (q[:, 0].double() @ k[:, 0].double().T).argmax(-1)
    assert torch.allclose(got[:, 0], v[best, 0], rtol=1e-6, atol=1e-6)
