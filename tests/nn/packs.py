"""Random packed matrices of every kind, random networks of them, and equality to the bit."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from studiolo.nn.adapter import Adaptation, Adapter, Update
from studiolo.nn.config import DecoderConfig
from studiolo.nn.decoder import Decoder
from studiolo.nn.lower import lower
from studiolo.nn.native import levels
from studiolo.nn.network import Piece
from studiolo.nn.packed import SUPER, Codes, Packed, pack
from studiolo.nn.packed_decoder import PackedDecoder, PagedCache
from studiolo.nn.tape import SCORES, Cached, Kind, Op, Player, Step, Tape, padded

compiled = pytest.mark.skipif(
    not levels(), reason="the compiled library was not built here: no CMake or no C++ compiler"
)


@dataclass(frozen=True)
class Form:
    """A kind of matrix that some block of a GGUF has."""

    kind: Codes
    least: int
    most: int
    group: int = 32
    offset: bool = False
    two_levels: bool = False

    @property
    def unit(self) -> int:
        """What the number of inputs is a multiple of in a file."""
        return SUPER if self.two_levels else 1


FORMS = {
    "Q4_0": Form("S4", -8, 7),
    "Q4_1": Form("U4", 0, 15, offset=True),
    "Q5_0": Form("S5", -16, 15),
    "Q5_1": Form("U5", 0, 31, offset=True),
    "Q8_0": Form("S8", -128, 127),
    "Q4_K": Form("U4", 0, 15, offset=True, two_levels=True),
    "Q5_K": Form("U5", 0, 31, offset=True, two_levels=True),
    "Q6_K": Form("S6", -32, 31, group=16, two_levels=True),
}
ALL_FORMS = FORMS | {"S12": Form("S12", -2047, 2047)}
"""With the one that no file has."""


def random_packed(form: Form, outputs: int, inputs: int, rng: np.random.Generator) -> Packed:
    """Codes over the whole range, scales of either sign, some of them zero or subnormal."""
    groups = -(-inputs // form.group)
    halves = (outputs, inputs // SUPER if form.two_levels else groups)

    def half() -> Tensor:
        drawn = rng.normal(0, 0.02, halves) * rng.choice([1, 1, 1, 0, 1e-5, 30], halves)
        return torch.from_numpy(drawn.astype(np.float16))

    def factor() -> Tensor | None:
        if not form.two_levels:
            return None
        if form.offset:
            return torch.from_numpy(rng.integers(0, 64, (outputs, groups), dtype=np.uint8))
        return torch.from_numpy(rng.integers(-128, 128, (outputs, groups), dtype=np.int8))

    dtype = np.int16 if form.kind == "S12" else np.int8
    codes = rng.integers(form.least, form.most + 1, (outputs, inputs), dtype=dtype)
    return Packed(
        form.kind,
        form.group,
        torch.from_numpy(codes),
        half(),
        half() if form.offset else None,
        factor(),
        factor() if form.offset else None,
    )


def product(player: Player, table: Packed, weight: Packed, tokens: Sequence[int]) -> Tensor:
    """Rows of ``table``, rounded to 16 bits, times ``weight``: through a tape of three steps."""
    ops = (
        Op(Kind.EMBED, dst=0, size=table.inputs, matrix=player.hold(table), value=1.25),
        Op(Kind.QUANTIZE, 0, 0, size=table.inputs, barrier=True),
        Op(Kind.LINEAR, 0, SCORES, matrix=player.hold(weight), barrier=True),
    )
    tape = Tape(ops, (padded(table.inputs),), (table.inputs,), 1, 1, 1, 16, weight.outputs)
    return player.play(tape, rows(tokens))


def rows(tokens: Sequence[int]) -> Step:
    """Independent rows, all of whose scores are wanted."""
    count = len(tokens)
    at = np.arange(count, dtype=np.int32)
    return Step(np.array(tokens, np.int32), at, at + 1, at * 0, at, pages=[[]])


def random_adapter(
    c: DecoderConfig, seed: int, ranks: Sequence[int] = (0, 1, 3, 8, 17), size: float = 1.0
) -> Adapter:
    """One that leaves some products as they are, and is of any rank at the others.

    ``size``: of what it adds, when what it is added to has 1.
    """
    rng, updates = np.random.default_rng(seed), {}
    mixed, kv = c.heads * c.head_size, c.kv_heads * c.head_size
    products = {
        "attention.qkv": (c.width, [mixed, kv, kv]),
        "attention.out": (mixed, [c.width]),
        "mlp.up": (c.width, [c.mlp_width] * (1 + c.gated)),
        "mlp.down": (c.mlp_width, [c.width]),
    }
    for i in range(len(c.layers)):
        for name, (inputs, parts) in products.items():
            for part, outputs in enumerate(parts):
                rank = int(rng.choice(ranks))
                down, up = (
                    torch.from_numpy(rng.normal(0, n**-0.5, (m, n)).astype(np.float32))
                    for m, n in ((rank, inputs), (outputs, max(1, rank)))
                )
                if rank:
                    scale = float(rng.uniform(0.5, 2.0)) * size
                    updates[f"blocks.{i}.{name}", part] = Update(down, up, scale)
    return Adapter(f"random-{seed}", f"{seed:064x}", updates)


def merged(decoder: Decoder, adapter: Adapter) -> Decoder:
    """The network whose weights have the adapter's products added to them."""
    twin = copy.deepcopy(decoder)
    c = decoder.config
    kv = c.kv_heads * c.head_size
    for (name, part), update in adapter.updates.items():
        sizes = [c.heads * c.head_size, kv, kv] if name.endswith("qkv") else [c.mlp_width] * 2
        begin, weight = sum(sizes[:part]), cast(Tensor, twin.get_submodule(name).weight)
        with torch.no_grad():
            change = update.up.double() @ update.down.double() * update.scale
            weight[:, begin : begin + len(update.up)] += change.T.float()
    return twin


@dataclass
class RandomNetwork:
    """Weights for any description of a decoder, drawn once and lowered for any player."""

    config: DecoderConfig
    seed: int
    form: Form | None = None
    _drawn: dict[str, list[Packed]] = field(default_factory=dict)
    _vectors: dict[str, Tensor] = field(default_factory=dict)

    def on(self, player: Player, cached: Cached = "float32") -> PackedDecoder:
        tape = lower(self.config, self.matrices, self.vector, player)
        return PackedDecoder(self.config, replace(tape, cached=cached), player)

    def __post_init__(self) -> None:
        c, rng = self.config, np.random.default_rng(self.seed)
        kv = c.kv_heads * c.head_size
        fused = {"qkv": [c.heads * c.head_size, kv, kv], "up": [c.mlp_width] * (1 + c.gated)}
        with torch.device("meta"):
            shapes = {name: p.shape for name, p in Decoder(c).named_parameters()}
        for name, shape in shapes.items():
            last = name.split(".")[-2]
            if len(shape) == 1 or last == "positions":
                around = 1.0 if "norm" in name or "after" in name else 0.0
                around = 0.0 if name.endswith("bias") else around
                drawn = rng.normal(around, 0.2, shape).astype(np.float32)
                self._vectors[name] = torch.from_numpy(drawn)
                continue
            inputs, total = shape[::-1] if last in ("embed", "head") else shape
            self._drawn[name] = [
                self.draw(outputs, inputs, rng) for outputs in fused.get(last, [total])
            ]

    def draw(self, outputs: int, inputs: int, rng: np.random.Generator) -> Packed:
        if self.form is not None and inputs % self.form.unit == 0:
            return random_packed(self.form, outputs, inputs, rng)
        return pack(torch.from_numpy(rng.normal(0, inputs**-0.5, (outputs, inputs))))

    def matrices(self, name: str) -> list[Packed]:
        return self._drawn[name]

    def vector(self, name: str) -> Tensor:
        return self._vectors[name]


def read(
    decoder: PackedDecoder,
    tokens: Sequence[int],
    *cuts: int,
    cache: PagedCache | None = None,
    adapter: Adaptation | None = None,
) -> Tensor:
    """Scores of every token, read in pieces that end at ``cuts``."""
    cache = decoder.new_cache() if cache is None else cache
    ends = [*cuts, len(tokens)]
    pieces = [tokens[begin:end] for begin, end in zip([0, *cuts], ends, strict=True)]
    return torch.cat([decoder.step([Piece(p, cache, len(p), adapter)])[0] for p in pieces])


def bits(x: Tensor) -> Tensor:
    """What is compared: the bits, but that one NaN is as good as another."""
    return torch.where(x.isnan(), torch.nan, x).view(torch.int32)


def same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(bits(a), bits(b))
