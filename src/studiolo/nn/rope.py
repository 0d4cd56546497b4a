r"""Rotary position embedding, with every way of stretching it in common use.

A head's vector is read as ``head_size / 2`` complex numbers (first half real, second half
imaginary, the Hugging Face convention), and position :math:`p` turns the :math:`i`-th by
:math:`p\,\theta_i` with :math:`\theta_i = base^{-2i/d}` (Su et al. 2021, eq. 15).

Most kinds have fixed angles, so one table serves all positions. ``dynamic`` and ``longrope``
depend on how long the sequence is by now: as in the reference implementations, a key keeps
the angle of the moment at which it was computed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from studiolo.nn.config import RopeConfig


def inverse_frequencies(config: RopeConfig, size: int, length: int) -> tuple[Tensor, float]:
    """Angles per position, and the factor on cosine and sine.

    ``size``: head size (even). ``length``: tokens in the sequence so far, which only the kinds
    ``dynamic`` and ``longrope`` read. Returns float32 ``[size / 2]`` in radians and a scalar.
    """
    exponent = torch.arange(0, size, 2, dtype=torch.float32) / size
    plain = 1.0 / config.base**exponent
    original = config.original_context or 0
    match config.kind:
        case "default":
            return plain, 1.0
        case "linear":
            return plain / config.factor, 1.0
        case "dynamic":
            growth = config.factor * max(length, original) / original - (config.factor - 1)
            return 1.0 / (config.base * growth ** (size / (size - 2))) ** exponent, 1.0
        case "yarn":
            return _yarn(config, plain, size), _yarn_attention(config)
        case "longrope":
            divisors = config.long_factors if length > original else config.short_factors
            stretched = 1.0 / (torch.tensor(divisors) * config.base**exponent)
            return stretched, _longrope_attention(config)
        case "llama3":
            return _llama3(config, plain), 1.0


def _yarn(config: RopeConfig, plain: Tensor, size: int) -> Tensor:
    """NTK-by-parts (Peng et al. 2023, eqs. 19 to 23)."""

    def dimension(rotations: float) -> float:
        full_turns = (config.original_context or 1) / (rotations * 2 * math.pi)
        return size * math.log(full_turns) / (2 * math.log(config.base))

    low, high = dimension(config.beta_fast), dimension(config.beta_slow)
    if config.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    span = (high - low) or 0.001
    interpolate = ((torch.arange(size // 2, dtype=torch.float32) - low) / span).clamp(0, 1)
    return plain / config.factor * interpolate + plain * (1 - interpolate)


def _yarn_attention(config: RopeConfig) -> float:
    if config.attention_factor is not None:
        return config.attention_factor
    return 1.0 if config.factor <= 1 else 0.1 * math.log(config.factor) + 1.0


def _longrope_attention(config: RopeConfig) -> float:
    if config.attention_factor is not None:
        return config.attention_factor
    if config.factor <= 1:
        return 1.0
    return math.sqrt(1 + math.log(config.factor) / math.log(config.original_context or 2))


def _llama3(config: RopeConfig, plain: Tensor) -> Tensor:
    """Llama 3.1's smooth ramp between dividing (long waves) and keeping (short waves)."""
    original, low, high = (
        config.original_context or 1,
        config.low_frequency_factor,
        config.high_frequency_factor,
    )
    turns = original * plain / (2 * math.pi)
    keep = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - keep) * plain / config.factor + keep * plain


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each head's vector: ``x`` is ``[..., size]``; the angles come from :class:`Rope`.

    ``sine`` carries the sign of the lower half, so the turn is two products and one sum.
    """
    swapped = x.roll(x.shape[-1] // 2, dims=-1)
    return torch.addcmul(x * cosine, swapped, sine)


class Rope(nn.Module):
    """Cosines and signed sines for given positions."""

    def __init__(self, config: RopeConfig, size: int) -> None:
        super().__init__()
        self.config, self.size = config, size
        self.varies = config.kind in ("dynamic", "longrope")
        self.table: Tensor
        self.register_buffer("table", torch.empty(2, 0, size), persistent=False)

    def forward(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """``positions``: int64 ``[B, T]``. Returns two ``[B * T, 1, size]``."""
        if self.varies:
            lengths = [int(last) + 1 for last in positions.amax(dim=1)]
            angles = torch.stack(
                [self._angles(row, n) for row, n in zip(positions, lengths, strict=True)], dim=1
            )
        else:
            angles = self._rows(int(positions.max()) + 1)[:, positions]
        cosine, sine = angles.to(dtype).flatten(1, 2).unsqueeze(2)
        return cosine, sine

    def _rows(self, length: int) -> Tensor:
        """The table, grown by doubling, so that decoding never recomputes it."""
        if length > self.table.shape[1]:
            rows = torch.arange(max(256, 2 * length), device=self.table.device)
            self.table = self._angles(rows, length)
        return self.table

    def _angles(self, positions: Tensor, length: int) -> Tensor:
        frequencies, factor = inverse_frequencies(self.config, self.size, length)
        turns = positions.float().unsqueeze(-1) * frequencies.to(positions.device)
        cosine, sine = turns.cos() * factor, turns.sin() * factor
        return torch.stack([torch.cat([cosine, cosine], -1), torch.cat([-sine, sine], -1)])


def turns(config: RopeConfig, size: int, count: int) -> NDArray[np.float32]:
    """Rotations of positions 0 to ``count`` - 1, each by its own position alone.

    Cosines and signed sines, float32 ``[count, 2, size]``. Where angles depend on the length of
    the sequence (``dynamic``, ``longrope``), a position takes those of a sequence that ends with
    it, so that nothing depends on how a prompt was cut. Computed in float64, where processors'
    libraries differ less than float32 can show.
    """
    positions = torch.arange(count, dtype=torch.float32)
    if config.kind in ("dynamic", "longrope"):
        original = config.original_context or 0
        several = [inverse_frequencies(config, size, p + 1) for p in range(original, count)]
        within = inverse_frequencies(config, size, 1)
        rows = [within] * min(original, count) + several
        frequencies = torch.stack([each for each, _ in rows])
        factor = torch.tensor([each for _, each in rows])[:, None]
    else:
        frequencies, scalar = inverse_frequencies(config, size, count)
        factor = torch.tensor([[scalar]])
    angles = (positions[:, None] * frequencies).numpy().astype(np.float64)
    cosine, sine = (factor.double().numpy() * f(angles) for f in (np.cos, np.sin))
    table = [np.concatenate([cosine, cosine], 1), np.concatenate([-sine, sine], 1)]
    return np.ascontiguousarray(np.stack(table, 1).astype(np.float32))
