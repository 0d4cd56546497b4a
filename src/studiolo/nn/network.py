"""What a family of token models asks of its network: one step over many sequences.

A :class:`Piece` is a run of new tokens of one sequence, with that sequence's past. Reading a
prompt, reading a part of one, decoding, and any mixture of them is the same call. Who computes
it, in floats or in integers, is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from torch import Tensor

from studiolo.nn.adapter import Adaptation, Adapter
from studiolo.nn.config import DecoderConfig


class Past(Protocol):
    """The past of one sequence, to be kept and gone on from."""

    @property
    def length(self) -> int:
        """Tokens read so far."""

    @property
    def parts(self) -> Mapping[int, int]:
        """Bytes held, under the identity of each part; forks that share a part agree on it."""

    def fork(self, length: int | None = None) -> Self:
        """The same past, or its first ``length`` tokens, to go on from independently.

        ``length``: a multiple of :data:`PAGE`, or all.
        """


class Cache(Past, Protocol):
    """The past of a sequence that is being read."""

    def truncate(self, length: int) -> None:
        """Forget all but the first ``length`` tokens, any number up to what was read."""


PAGE = 32
"""Tokens to a page: a past may be cut, and shared, at multiples of this."""

C = TypeVar("C", bound=Cache)


@dataclass(frozen=True)
class Piece(Generic[C]):
    """``tokens`` to read after ``cache``; scores are wanted for the last ``wanted`` of them.

    None are wanted of a part of a prompt that is not its end. ``adapter``: what to read them with,
    which is what the past was read with.
    """

    tokens: Sequence[int]
    cache: C
    wanted: int = 1
    adapter: Adaptation | None = None


class Network(Protocol[C]):
    """A causal language model; its caches are its own kind."""

    @property
    def config(self) -> DecoderConfig:
        """The description of the network."""

    @property
    def identity(self) -> str:
        """Which arithmetic computes it: equal identities promise equal bits."""

    @property
    def invariant(self) -> bool:
        """Whether a row's bits are the same whatever else is read with it."""

    def new_cache(self) -> C:
        """An empty past."""

    def cache_bytes(self, tokens: int) -> int:
        """Bytes that a cache of ``tokens`` tokens may hold at most."""

    def adapt(self, adapter: Adapter) -> Adaptation:
        """The adapter in this network's form.

        Raises :class:`UnsupportedModelError` for a network that cannot use any.
        """

    def step(self, pieces: Sequence[Piece[C]]) -> list[Tensor]:
        """Read every piece; float32 ``[wanted, vocabulary]`` for each, in order.

        The caches grow by what was read. No two pieces may share a cache. Raises
        :class:`InterruptedStepError` where it was broken off; the caches are then as they were.
        """

    def interrupt(self) -> None:
        """Have the step under way broken off, if it can be; any thread may ask."""
