r"""Weights in groups of a few bits: :math:`w = d\,q + m` for each group of inputs.

Codes :math:`q` are integers of 4, 5, 6, 8 or 12 bits. A group's scale :math:`d` and offset
:math:`m` are float16, or (llama.cpp's K-quants) the product of a float16 for 256 inputs and a
small integer for the group. The blocks of a GGUF fit without loss; floats are rounded to 8 or
12 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor

Codes = Literal["U4", "S4", "U5", "S5", "S6", "S8", "S12"]
SUPER = 256
"""Inputs under one float16, where scales have two levels."""
GROUP = 32


@dataclass(frozen=True)
class Packed:
    """A matrix of ``outputs`` x ``inputs``; G groups of ``group`` inputs, the last one padded.

    ``codes``: int8 (S12: int16) ``[outputs, inputs]``, in the range that the kind names (U: from
    0 on, S: two's complement). ``scale``, ``offset``: float16 ``[outputs, G]``; with two levels
    ``[outputs, inputs / 256]``, and then ``scale_factor`` and ``offset_factor`` are uint8 (int8
    without offset) ``[outputs, G]`` and the offset is subtracted.
    """

    kind: Codes
    group: int
    codes: Tensor
    scale: Tensor
    offset: Tensor | None = None
    scale_factor: Tensor | None = None
    offset_factor: Tensor | None = None

    @property
    def outputs(self) -> int:
        """Rows of the matrix."""
        return self.codes.shape[0]

    @property
    def inputs(self) -> int:
        """Columns of the matrix."""
        return self.codes.shape[1]

    def scales(self) -> Tensor:
        """Float32 ``[outputs, G]``; products of two levels are exact."""
        return _levels(self.scale, self.scale_factor, self.group)

    def offsets(self) -> Tensor | None:
        """Float32 ``[outputs, G]``, or None."""
        if self.offset is None:
            return None
        offsets = _levels(self.offset, self.offset_factor, self.group)
        return offsets if self.offset_factor is None else -offsets

    def floats(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """The weights as float32 ``[rows, inputs]``: a product, then a sum."""
        codes, scales, offsets = self.codes[rows].float(), self.scales()[rows], self.offsets()
        values = codes * scales.repeat_interleave(self.group, 1)[:, : self.inputs]
        if offsets is not None:
            values = values + offsets[rows].repeat_interleave(self.group, 1)[:, : self.inputs]
        return values

    def split(self, sizes: Sequence[int]) -> list[Self]:
        """Rows as matrices of their own, ``sizes`` of them each, in order."""
        named = ("codes", "scale", "offset", "scale_factor", "offset_factor")
        parts = {name: getattr(self, name) for name in named}
        columns = {name: p.split(list(sizes)) for name, p in parts.items() if p is not None}
        return [
            replace(self, **{name: pieces[i] for name, pieces in columns.items()})
            for i in range(len(sizes))
        ]


def _levels(halves: Tensor, factor: Tensor | None, group: int) -> Tensor:
    if factor is None:
        return halves.float()
    return halves.float().repeat_interleave(SUPER // group, 1) * factor.float()


def pack(weight: Tensor, bits: Literal[8, 12] = 8) -> Packed:
    """Round ``weight`` (any float, ``[outputs, inputs]``) to ``bits`` in groups of 32.

    The largest of a group is ±127 (±2047) steps of a float16: an error of at most 0.5 % (0.05 %)
    of it, and of 2^-25 (half of what steps below 2^-14 are apart). What is not finite, or above
    8.3 million, has a scale that is not finite either. Twelve bits are the most whose sums over a
    group are exact in 32.
    """
    top = 2 ** (bits - 1) - 1
    outputs, inputs = weight.shape
    padding = -inputs % GROUP
    groups = torch.nn.functional.pad(weight.float(), (0, padding)).view(outputs, -1, GROUP)
    exact = groups.abs().amax(-1) / top
    # The steps of small float16 are 2^-24 apart: upwards, so that nothing is cut off.
    scale = torch.where(exact < 2.0**-14, (exact * 2**24).ceil() / 2**24, exact).half()
    steps = scale.float().unsqueeze(-1)
    codes = torch.where(steps > 0, groups / steps, 0.0).round().clamp(-top, top)
    codes = codes.to(torch.int8 if bits == 8 else torch.int16).view(outputs, -1)
    return Packed("S8" if bits == 8 else "S12", GROUP, codes[:, :inputs].contiguous(), scale)
