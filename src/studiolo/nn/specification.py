"""What every operation of a tape computes, to the bit: the arithmetic's definition.

Integers are exact, so their sums have no order. Every sum of floats has one: over the groups of
a row, over 16 lanes that are then folded in halves, over the dimensions of a head, over the
positions of a sequence. Where products are summed, each is fused with the sum: the two are rounded
once (:func:`fused`); everything else is rounded one by one. No operation looks at another row,
except attention at the past of its own sequence: so a row's result cannot depend on its neighbours,
on how a prompt was cut, or on how many threads there are.

Written to be read; the compiled library is some 250 times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from studiolo.nn.adapter import Update
from studiolo.nn.network import PAGE
from studiolo.nn.packed import Packed
from studiolo.nn.tape import ACTIVATIONS, BLOCK, SCORES, Op, Page, Step, Tape, padded

VERSION = 2
"""Rises when any result may come out in other bits than before; receipts name it."""
TOP = 32767.0
"""The largest code of an activation: 16 bits."""
LEAST = 2.0**-100
"""A row whose largest value is below this counts as zero."""
SUMMED = 32
"""Activations summed together, for the offset of a group of weights."""
OUTPUTS = 4096
"""Outputs computed at once, to bound memory."""
TINY = 2.0**-126
"""Below this, float32 are subnormal."""
_BELOW, _MIDDLE = (1 << 29) - 1, 1 << 28
"""The bits of a float64 that a float32 has not, and what they are in the middle of two float32."""


def fused(a: Tensor, b: Tensor | float, c: Tensor | float) -> Tensor:
    """``a * b + c`` of float32, rounded once to float32: a fused multiply-add.

    In float64 the product is exact, and the sum rounded to 53 bits. To round that again to 24 goes
    wrong only if it is now the middle of two float32 (or subnormal, whose middles lie elsewhere)
    and was not before; there it is first moved to its neighbour on the exact sum's side.
    """
    product = a.double() * (b.double() if isinstance(b, Tensor) else b)
    added = c.double() if isinstance(c, Tensor) else torch.tensor(c, dtype=torch.float64)
    total = product + added
    doubtful = (total.view(torch.int64) & _BELOW) == _MIDDLE
    doubtful = doubtful | ((total.abs() < TINY) & (total != 0))
    if bool(doubtful.any()):
        of_added = total - product  # Knuth's two-sum: what rounding took away
        lost = (product - (total - of_added)) + (added - of_added)
        towards = torch.nextafter(total, torch.copysign(torch.full_like(total, torch.inf), lost))
        even = (total.view(torch.int64) & 1) == 0
        total = torch.where(doubtful & (lost != 0) & even, towards, total)
    return total.float()


def quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row of ``x``, ``[M, K]``, to 16 bits: codes int32 ``[M, K]``, scale ``[M, 1]``.

    Raises nothing: a row that is not finite has the scale NaN, and so has all that comes of it.
    """
    largest = x.abs().amax(dim=1, keepdim=True)
    finite = largest.isfinite()
    counts = finite & (largest >= LEAST)
    # `TOP / largest` would be computed by way of a rounded reciprocal.
    factor = torch.where(counts, torch.full_like(largest, TOP) / largest, 0.0)
    scale = torch.where(counts, largest / TOP, torch.where(finite, 0.0, torch.nan))
    codes = torch.where(counts, (x * factor).round(), 0.0)
    return codes.to(torch.int32), scale


def linear(codes: Tensor, scale: Tensor, weight: Packed) -> Tensor:
    """The product of quantised rows with a packed matrix: float32 ``[M, outputs]``.

    For each group in turn: the exact integer dot times the group's scale is added, then the sum
    of the activations times the group's offset. The whole is multiplied by the row's scale.
    """
    rows, inputs = codes.shape
    groups = -(-inputs // weight.group)
    padding = groups * weight.group - inputs
    grouped = _grouped(codes, padding, groups).transpose(0, 1).double()
    sums = grouped.sum(dim=2).float()
    parts = []
    for start in range(0, weight.outputs, OUTPUTS):
        part = slice(start, start + OUTPUTS)
        q = _grouped(weight.codes[part], padding, groups).permute(1, 2, 0).double()
        dots = torch.bmm(grouped, q).float()
        scales, offsets = weight.scales()[part].T, weight.offsets()
        total = torch.zeros(rows, q.shape[2])
        for g in range(groups):
            total = fused(dots[g], scales[g], total)
            if offsets is not None:
                total = fused(sums[g, :, None], offsets[part, g], total)
        parts.append(total * scale)
    return torch.cat(parts, dim=1)


def _grouped(x: Tensor, padding: int, groups: int) -> Tensor:
    return torch.nn.functional.pad(x, (0, padding)).view(x.shape[0], groups, -1)


def lane_sum(x: Tensor, times: Tensor | None = None) -> Tensor:
    """Sum of ``[..., K]``, or of its products with ``times``, over 16 lanes: ``[..., 1]``.

    The lanes are then folded in halves.
    """
    blocks, factors = _blocks(x), None if times is None else _blocks(times)
    lanes = torch.zeros(BLOCK)
    for i in range(blocks.shape[-2]):
        block = blocks[..., i, :]
        lanes = lanes + block if factors is None else fused(block, factors[..., i, :], lanes)
    while lanes.shape[-1] > 1:
        low, high = lanes.chunk(2, dim=-1)
        lanes = low + high
    return lanes


def _blocks(x: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(x, (0, -x.shape[-1] % BLOCK))
    return padded.reshape(*x.shape[:-1], -1, BLOCK)


def shrink(x: Tensor, update: Update) -> Tensor:
    """Rows ``[M, inputs]`` times an update's first matrix, and its scale: ``[M, rank]``."""
    return lane_sum(x[:, None], update.down)[..., 0] * _single(update.scale)


def expand(low: Tensor, update: Update) -> Tensor:
    """What :func:`shrink` gives times the second matrix, rank by rank: ``[M, outputs]``."""
    total = torch.zeros(low.shape[0], update.up.shape[0])
    for j in range(update.rank):
        total = fused(low[:, j, None], update.up[:, j], total)
    return total


def norm(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    """Root-mean-square normalisation, or layer normalisation if there is a bias."""
    size = float(x.shape[-1])
    centred = x if bias is None else x - lane_sum(x) / size
    mean_square = lane_sum(centred, centred) / size + _single(eps)
    # By way of float64: some builds of PyTorch do not round float32 roots correctly.
    inverse = 1.0 / torch.sqrt(mean_square.double()).float()
    scaled = centred * inverse * weight
    return scaled if bias is None else scaled + bias


def exponential(x: Tensor) -> Tensor:
    """e to the ``x``, for x up to 80; below -87 as at -87; NaN stays. Cephes' polynomial."""
    x = torch.where(x < -87.0, -87.0, x)
    n = (x * _single(1.44269504)).round()
    r = fused(n, _single(-0.693359375), x)
    r = fused(n, _single(2.12194440e-4), r)
    p = torch.full_like(r, _single(1.9875691500e-4))
    for coefficient in (
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    ):
        p = fused(p, r, _single(coefficient))
    power = ((n.to(torch.int32) + 127) << 23).view(torch.float32)
    return (fused(p, r * r, r) + 1.0) * power


def sigmoid(x: Tensor) -> Tensor:
    """The logistic function, without overflow on either side."""
    e = exponential(-x.abs())
    r = 1.0 / (1.0 + e)
    return torch.where(x >= 0, r, e * r)


def error_function(x: Tensor) -> Tensor:
    """erf, to 6e-7: Abramowitz & Stegun, 7.1.26."""
    z = x.abs()
    t = 1.0 / (1.0 + _single(0.3275911) * z)
    p = torch.full_like(t, _single(1.061405429))
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        p = fused(p, t, _single(coefficient))
    y = 1.0 - p * t * exponential(-(z * z))
    return torch.where(x >= 0, y, -y)


def activate(x: Tensor, activation: str) -> Tensor:
    """SiLU, GELU (by erf, or by tanh written as a logistic function) or ReLU."""
    match activation:
        case "silu":
            return x * sigmoid(x)
        case "gelu":
            return x * 0.5 * (1.0 + error_function(x * _single(0.70710678)))
        case "gelu_tanh":
            inner = x + _single(0.044715) * (x * x * x)
            return x * sigmoid(_single(1.5957691216) * inner)
        case _:
            return torch.where(x < 0, 0.0, x)


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Heads ``[M, heads, size]`` turned by ``[M, 2, size]``: cosines and signed sines."""
    swapped = x.roll(x.shape[-1] // 2, dims=-1)
    return x * turn[:, :1] + swapped * turn[:, 1:]


def attend(
    query: Tensor, keys: Tensor, values: Tensor, first: Tensor, until: Tensor, scale: float
) -> Tensor:
    """Rows of one sequence on its past: ``[M, heads, size]``.

    ``keys``, ``values``: ``[S, heads, size]``, repeated for the heads of a group. A row sees the
    positions from ``first`` up to but without ``until``, both int64 ``[M]``.
    """
    positions = torch.arange(keys.shape[0])
    seen = (positions >= first[:, None]) & (positions < until[:, None])
    dots = torch.zeros(query.shape[0], query.shape[1], keys.shape[0])
    for i in range(query.shape[2]):
        dots = fused(query[:, :, i, None], keys[:, :, i].T, dots)
    scores = (dots * _single(scale)).masked_fill(~seen[:, None], -torch.inf)
    weights = exponential(scores - scores.amax(dim=-1, keepdim=True))
    weights = weights.masked_fill(scores == -torch.inf, 0.0)
    mixed = torch.zeros_like(query)
    for j in range(keys.shape[0]):
        part = fused(weights[:, :, j, None], values[j], mixed)
        mixed = part.where(seen[:, j, None, None], mixed)  # a value not seen may be infinite
    return mixed * (1.0 / lane_sum(weights))


def _single(x: float) -> float:
    """``x`` rounded to float32: what the library's constants are."""
    return float(np.float32(x))


class Specification:
    """Plays tapes by the functions above."""

    def hold(self, weight: Packed) -> object:
        """The matrix itself."""
        return weight

    def adapt(self, updates: Sequence[Update | None]) -> object:
        """The updates themselves."""
        return updates

    def play(self, tape: Tape, step: Step) -> Tensor:
        """As :meth:`Player.play`."""
        rows = len(step.token)
        board = _Board(tape, step, [torch.zeros(rows, width) for width in tape.buffers])
        for op in tape.ops:
            board.perform(op)
        return board.scores


class _Board:
    """The buffers and activation slots of one step."""

    def __init__(self, tape: Tape, step: Step, buffers: list[Tensor]) -> None:
        self.tape, self.step, self.buffers = tape, step, buffers
        self.slots: dict[int, tuple[Tensor, Tensor]] = {}
        self.low: dict[int, list[tuple[Tensor, Tensor, Update]]] = {}
        self.scores = torch.empty(0, tape.scores)
        self.wanted = torch.from_numpy(step.wanted).long()
        self.positions = torch.from_numpy(step.position).long()

    def perform(self, op: Op) -> None:
        if op.wanted and len(self.wanted) == 0:
            return
        perform: Callable[[Op], None] = getattr(self, op.kind.name.lower())
        perform(op)

    def columns(self, buffer: int, column: int, count: int) -> Tensor:
        return self.buffers[buffer][:, column : column + count]

    def put(self, op: Op, values: Tensor) -> None:
        """Write ``values`` (or add them) to the first rows of the destination."""
        if op.dst == SCORES:
            self.scores = values
            return
        place = self.columns(op.dst, op.dst_column, values.shape[1])[: len(values)]
        place.copy_(place + values if op.accumulate else values)

    def embed(self, op: Op) -> None:
        table = cast(Packed, op.matrix)
        rows = table.floats(torch.from_numpy(self.step.token).long())
        self.put(op, rows * _single(op.value))

    def add_table(self, op: Op) -> None:
        if op.weight is not None:
            self.buffers[op.dst][:, : op.size] += op.weight[self.positions].float()

    def norm(self, op: Op) -> None:
        if op.weight is None:
            return
        x = self.columns(op.src, op.src_column, op.heads * op.size)
        x = x[self.wanted] if op.wanted else x
        bias = None if op.bias is None else op.bias.float()
        self.put(op, norm(_heads(x, op.heads), op.weight.float(), bias, op.value).flatten(1))

    def quantize(self, op: Op) -> None:
        x = self.columns(op.src, op.src_column, op.size)
        self.slots[op.dst] = quantize(x[: len(self.wanted)] if op.wanted else x)

    def linear(self, op: Op) -> None:
        y = linear(*self.slots[op.src], cast(Packed, op.matrix))
        if op.bias is not None:
            y = y + op.bias.float()
        self.put(op, y)
        for rows, low, update in self.low.get(op.site, []):
            self.columns(op.dst, op.dst_column, y.shape[1])[rows] += expand(low, update)

    def shrink(self, op: Op) -> None:
        for a, held in enumerate(self.step.adapters):
            rows = torch.from_numpy(self.step.adapter == a).nonzero()[:, 0]
            x = self.columns(op.src, op.src_column, op.size)[rows]
            for site in range(op.site, op.site + op.heads):
                update = cast(Sequence[Update | None], held)[site]
                if update is not None:
                    self.low.setdefault(site, []).append((rows, shrink(x, update), update))

    def rotate(self, op: Op) -> None:
        place = self.columns(op.src, op.src_column, op.heads * op.size)
        turn = torch.from_numpy(self.step.turns[op.flag])[self.positions]
        place.copy_(rotate(_heads(place, op.heads), turn).flatten(1))

    def store(self, op: Op) -> None:
        heads, size = self.tape.kv_heads, op.size
        keys = _heads(self.columns(op.src, op.src_column, heads * size), heads)
        values = _heads(self.columns(op.src, op.dst_column, heads * size), heads)
        for row, (position, sequence) in enumerate(
            zip(self.step.position, self.step.sequence, strict=True)
        ):
            page = self.step.pages[sequence][position // PAGE]
            stored_keys, stored_values = page_parts(self.tape, page, op.flag)
            at = int(position) % PAGE
            # Rounded, where it is kept in bfloat16, to the nearest, halves to even.
            stored_keys[:, at // BLOCK, :, at % BLOCK] = keys[row]
            stored_values[:, at, :size] = values[row]
            stored_values[:, at, size:] = 0.0

    def attend(self, op: Op) -> None:
        heads, size, group = op.heads, op.size, op.heads // self.tape.kv_heads
        query = _heads(self.columns(op.src, op.src_column, heads * size), heads)
        until = torch.from_numpy(self.step.until).long()
        first = (self.positions + 1 - op.window).clamp(min=0) if op.window else until * 0
        out = torch.empty(len(query), heads * size)
        sequences = torch.from_numpy(self.step.sequence)
        for sequence in np.unique(self.step.sequence).tolist():
            mine = sequences == sequence
            keys, values = past(
                self.tape, self.step.pages[sequence], op.flag, int(until[mine].max())
            )
            mixed = attend(
                query[mine],
                keys.repeat_interleave(group, 1),
                values.repeat_interleave(group, 1),
                first[mine],
                until[mine],
                op.value,
            )
            out[mine] = mixed.flatten(1)
        self.put(op, out)

    def gate(self, op: Op) -> None:
        y = activate(self.columns(op.src, op.src_column, op.size), ACTIVATIONS[op.flag])
        if op.heads == 2:
            y = y * self.columns(op.src, op.src_column + padded(op.size), op.size)
        self.put(op, y)


def _heads(x: Tensor, heads: int) -> Tensor:
    """``[M, heads * size]`` as ``[M, heads, size]``."""
    return x.view(x.shape[0], heads, x.shape[1] // heads)


def page_parts(tape: Tape, page: Page, layer: int) -> tuple[Tensor, Tensor]:
    """A layer's keys ``[heads, PAGE / 16, size, 16]`` and values ``[heads, PAGE, padded]``."""
    numbers = torch.from_numpy(page).view(getattr(torch, tape.cached))
    whole = numbers.view(tape.layers, -1)[layer]
    heads, size = tape.kv_heads, tape.head_size
    keys, values = torch.split(whole, [heads * PAGE * size, heads * PAGE * padded(size)])
    return keys.view(heads, PAGE // BLOCK, size, BLOCK), values.view(heads, PAGE, padded(size))


def past(tape: Tape, pages: Iterable[Page], layer: int, length: int) -> tuple[Tensor, Tensor]:
    """The first ``length`` keys and values of a sequence, ``[length, kv_heads, size]`` each."""
    keys, values = [], []
    for page in pages:
        stored_keys, stored_values = page_parts(tape, page, layer)
        keys.append(stored_keys.permute(1, 3, 0, 2).flatten(0, 1))
        values.append(stored_values[:, :, : tape.head_size].transpose(0, 1))
    return torch.cat(keys)[:length].float(), torch.cat(values)[:length].float()
