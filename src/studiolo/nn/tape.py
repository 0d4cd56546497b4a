"""A network as a tape: a short list of a few kinds of operation on named buffers.

Lowered once, played at every step over independent rows (a token, at a position, of a sequence).
:mod:`studiolo.nn.specification` says in PyTorch what each operation computes, to the bit;
:mod:`studiolo.nn.native` hands the same tape to the compiled library. Fields and kinds mirror
``native/tape.h``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from studiolo.nn.adapter import Site, Update
from studiolo.nn.network import PAGE
from studiolo.nn.packed import Packed

BLOCK = 16
"""Outputs are padded to this, and buffers' parts begin at multiples of it."""
Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Page = NDArray[np.float32] | NDArray[np.uint16]
"""Keys and values of so many positions: floats, or their upper halves (bfloat16)."""
Cached = Literal["float32", "bfloat16"]
"""What keys and values are kept as."""
CACHED: tuple[Cached, ...] = get_args(Cached)


class Kind(IntEnum):
    """What an operation does; ``native/tape.h`` says it field by field."""

    EMBED = 0
    ADD_TABLE = 1
    NORM = 2
    QUANTIZE = 3
    LINEAR = 4
    ROTATE = 5
    STORE = 6
    ATTEND = 7
    GATE = 8
    SHRINK = 9


ACTIVATIONS = ("silu", "gelu", "gelu_tanh", "relu")
SCORES = -1
"""As a destination: the step's scores."""


@dataclass(frozen=True)
class Op:
    """One operation. ``matrix`` is what the player holds a :class:`Packed` as; ``site``: the place
    in :attr:`Tape.sites` of a product that adapters may change.
    """

    kind: Kind
    src: int = 0
    dst: int = 0
    src_column: int = 0
    dst_column: int = 0
    size: int = 0
    heads: int = 1
    site: int = -1
    flag: int = 0
    window: int = 0
    value: float = 0.0
    wanted: bool = False
    accumulate: bool = False
    barrier: bool = False
    matrix: object = None
    weight: Tensor | None = None
    bias: Tensor | None = None


@dataclass(frozen=True)
class Tape:
    """Operations, and the widths in elements of float buffers and of activation slots."""

    ops: tuple[Op, ...]
    buffers: tuple[int, ...]
    slots: tuple[int, ...]
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    scores: int
    cached: Cached = "float32"
    sites: tuple[Site, ...] = ()

    @property
    def page_size(self) -> int:
        """Numbers in a page: for each layer, keys in blocks of 16 positions, then values."""
        return self.layers * self.kv_heads * PAGE * (self.head_size + padded(self.head_size))

    @property
    def page_bytes(self) -> int:
        """Bytes of a page."""
        return self.page_size * (4 if self.cached == "float32" else 2)

    def new_page(self) -> Page:
        """A page, with anything in it."""
        if self.cached == "float32":
            return np.empty(self.page_size, np.float32)
        return np.empty(self.page_size, np.uint16)


@dataclass(frozen=True)
class Step:
    """The rows of one step. ``until``: how many positions of its sequence a row sees.

    ``sequence`` indexes ``pages``; ``wanted`` lists the rows whose scores are asked for;
    ``turns``: rotation tables float32 ``[positions, 2, head_size]``, indexed by position.
    ``adapter`` indexes ``adapters``, what the player holds them as; -1: none. ``stop``: any thread
    may set its one number to 1, and asks so for the step to be broken off.
    """

    token: Ints
    position: Ints
    until: Ints
    sequence: Ints
    wanted: Ints
    pages: Sequence[Sequence[Page]]
    turns: Sequence[Floats] = field(default=())
    adapter: Ints | None = None
    adapters: Sequence[object] = ()
    stop: Ints = field(default_factory=lambda: np.zeros(1, np.int32))


class Player(Protocol):
    """Something that can play tapes."""

    def hold(self, weight: Packed) -> object:
        """Keep a matrix in the player's own form."""

    def adapt(self, updates: Sequence[Update | None]) -> object:
        """Keep an adapter in the player's own form: what it adds at each site of a tape."""

    def play(self, tape: Tape, step: Step) -> Tensor:
        """Scores, float32 ``[wanted, scores]``; keys and values are written to the pages.

        Raises :class:`InterruptedStepError` where it was broken off; what it wrote means nothing.
        """


def padded(count: int) -> int:
    """``count`` rounded up to a whole block."""
    return -(-count // BLOCK) * BLOCK
