"""Rotary positions: what makes them relative, and each way of stretching them at its ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from studiolo.nn.config import RopeConfig
from studiolo.nn.rope import Rope, inverse_frequencies, rotate, turns

SIZE = 16


def test_the_first_frequency_is_one_radian_and_they_fall_geometrically() -> None:
    angles, factor = inverse_frequencies(RopeConfig(base=10_000.0), SIZE, 1)
    assert factor == 1.0
    expected = [10_000.0 ** (-2 * i / SIZE) for i in range(SIZE // 2)]
    assert torch.allclose(angles, torch.tensor(expected))


def test_a_rotation_keeps_lengths_and_depends_on_distance_alone() -> None:
    rope = Rope(RopeConfig(), SIZE)
    q, k = torch.randn(2, SIZE, generator=torch.Generator().manual_seed(0))

    def turned(x: torch.Tensor, position: int) -> torch.Tensor:
        cosine, sine = rope(torch.tensor([[position]]), torch.float32)
        return rotate(x, cosine, sine).flatten()

    assert turned(q, 37).norm() == pytest.approx(float(q.norm()), rel=1e-5)
    near, far = turned(q, 7) @ turned(k, 3), turned(q, 107) @ turned(k, 103)
    assert near == pytest.approx(float(far), abs=1e-4)
    assert torch.equal(turned(q, 0), q)


def test_linear_divides_every_angle() -> None:
    plain, _ = inverse_frequencies(RopeConfig(), SIZE, 1)
    stretched, _ = inverse_frequencies(RopeConfig(kind="linear", factor=4.0), SIZE, 1)
    assert torch.allclose(stretched * 4, plain)


def test_dynamic_is_plain_up_to_the_original_context_and_slower_beyond() -> None:
    config = RopeConfig(kind="dynamic", factor=2.0, original_context=32)
    plain, _ = inverse_frequencies(RopeConfig(), SIZE, 1)
    assert torch.allclose(inverse_frequencies(config, SIZE, 32)[0], plain)
    assert (inverse_frequencies(config, SIZE, 64)[0][1:] < plain[1:]).all()


@pytest.mark.parametrize("kind", ["yarn", "llama3"])
def test_fast_angles_are_kept_and_slow_ones_divided(kind: str) -> None:
    config = RopeConfig.model_validate(
        {"kind": kind, "factor": 8.0, "original_context": 4096, "attention_factor": 1.0}
    )
    plain, _ = inverse_frequencies(RopeConfig(), 64, 1)
    stretched, _ = inverse_frequencies(config, 64, 1)
    assert stretched[0] == pytest.approx(float(plain[0]))
    assert stretched[-1] == pytest.approx(float(plain[-1]) / 8)
    assert (stretched.diff() < 0).all()


def test_yarn_sharpens_attention_with_the_logarithm_of_the_factor() -> None:
    config = RopeConfig(kind="yarn", factor=8.0, original_context=4096)
    assert inverse_frequencies(config, SIZE, 1)[1] == pytest.approx(0.1 * math.log(8) + 1)


def test_longrope_switches_its_divisors_past_the_original_context() -> None:
    config = RopeConfig(
        kind="longrope",
        factor=4.0,
        original_context=16,
        short_factors=(1.0,) * 8,
        long_factors=(2.0,) * 8,
    )
    short, factor = inverse_frequencies(config, SIZE, 16)
    long, _ = inverse_frequencies(config, SIZE, 17)
    assert torch.allclose(long * 2, short)
    assert factor == pytest.approx(math.sqrt(1 + math.log(4) / math.log(16)))


def test_the_table_grows_and_keeps_what_it_said() -> None:
    rope = Rope(RopeConfig(), SIZE)
    few = rope(torch.arange(4)[None], torch.float32)
    many = rope(torch.arange(3000)[None], torch.float32)
    for a, b in zip(few, many, strict=True):
        assert torch.equal(a, b[:4])


@pytest.mark.parametrize("kind", ["dynamic", "yarn", "longrope", "llama3"])
def test_a_kind_without_its_original_context_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="original_context"):
        RopeConfig.model_validate({"kind": kind})


STRETCHED = {
    "default": RopeConfig(),
    "linear": RopeConfig(kind="linear", factor=4.0),
    "dynamic": RopeConfig(kind="dynamic", factor=2.0, original_context=20),
    "yarn": RopeConfig(kind="yarn", factor=8.0, original_context=20),
    "llama3": RopeConfig(kind="llama3", factor=8.0, original_context=20),
    "longrope": RopeConfig(
        kind="longrope",
        factor=4.0,
        original_context=20,
        short_factors=(1.0,) * 8,
        long_factors=(2.0,) * 8,
    ),
}


@pytest.mark.parametrize("kind", STRETCHED)
def test_turns_are_those_of_a_sequence_that_ends_there(kind: str) -> None:
    config = STRETCHED[kind]
    table = turns(config, SIZE, 60)
    assert table.shape == (60, 2, SIZE)
    assert table.dtype == np.float32
    rope = Rope(config, SIZE)
    for position in range(60):
        # The last of a sequence: all that a float decoder reads when it decodes.
        both = rope(torch.tensor([[position]]), torch.float32)
        for got, expected in zip(table[position], both, strict=True):
            assert torch.from_numpy(got) == pytest.approx(expected.flatten(), abs=1e-5)


@pytest.mark.parametrize("kind", STRETCHED)
def test_turns_do_not_depend_on_how_many_are_asked_for(kind: str) -> None:
    config = STRETCHED[kind]
    long = turns(config, SIZE, 300)
    for count in (1, 19, 20, 21, 128):
        assert np.array_equal(turns(config, SIZE, count), long[:count])
