"""What a run reads: one long row of token ids, cut into blocks, and in which order.

A :class:`Tokens` is a row of ids with the places where documents start; it may be mapped from
files larger than memory. :class:`Blocks` deals it out: an epoch takes every block once, in an
order that the seed and the epoch decide, each epoch cut a little further on, so that a block's
edges move. Notable choice: a batch is a function of its number, so the position in the data is
one number, and to resume is to ask for the next. Deliberately unknown here: what an id means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studiolo.errors import InvalidRequestError
from studiolo.training.losses import IGNORED

_STEP = 1 << 24


@dataclass(frozen=True)
class TokenBatch:
    """B blocks of T tokens.

    ``inputs``, ``targets``: int64 ``[B, T]``; a target is the next token, or
    :data:`~studiolo.training.losses.IGNORED` where that belongs to another document.
    ``documents``: int64 ``[B, T]``, of which document of its block a token is; None where every
    block is of one document.
    """

    inputs: Tensor
    targets: Tensor
    documents: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Tokens that are read."""
        return self.inputs.numel()

    @property
    def weight(self) -> int:
        """Tokens that are to be foreseen."""
        return int((self.targets != IGNORED).sum())

    def to(self, device: torch.device) -> TokenBatch:
        """The same on another device."""
        if device.type == "cpu":
            return self
        documents = None if self.documents is None else self.documents.to(device)
        return TokenBatch(self.inputs.to(device), self.targets.to(device), documents)


@dataclass(frozen=True)
class Tokens:
    """``ids``: ``[N]``, any unsigned integers. ``starts``: int64 ``[D]``, ascending, from 0."""

    ids: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, ids: NDArray[np.unsignedinteger]) -> Tokens:
        """One document."""
        return cls(ids, np.zeros(1, np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, end: int) -> Tokens:
        """Tokens ``start`` to ``end``; what is cut off of a document is a document."""
        first, last = np.searchsorted(self.starts, [start, end])
        inner = self.starts[first:last] - start
        starts = inner if len(inner) and inner[0] == 0 else np.concatenate([[0], inner])
        return Tokens(self.ids[start:end], starts.astype(np.int64))

    def split(self, validation: float, least: int) -> tuple[Tokens, Tokens]:
        """What is trained on, and the last part of all, ``validation`` (0 to 1) of them.

        Raises :class:`InvalidRequestError` if either has fewer than ``least`` tokens.
        """
        cut = len(self) - int(len(self) * validation)
        for name, count in (("training", cut), ("validation", len(self) - cut)):
            if count < least:
                raise InvalidRequestError(
                    "data.path",
                    f"leaves {count:,} tokens for {name}, but one block needs {least:,}",
                    remedy="Give a longer text, or lower model.context.",
                )
        return self.part(0, cut), self.part(cut, len(self))

    def digest(self) -> str:
        """SHA-256 of the ids as uint32 and of the starts; reads all of them once."""
        found = hashlib.sha256()
        for start in range(0, len(self), _STEP):
            found.update(np.ascontiguousarray(self.ids[start : start + _STEP], "<u4").tobytes())
        found.update(b"\0" + np.ascontiguousarray(self.starts, "<i8").tobytes())
        return found.hexdigest()


class Shuffle:
    """``count`` things, each once an epoch, in an order that ``seed`` and the epoch decide."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed, self._epoch = count, seed, -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)

    def at(self, example: int) -> int:
        """Which is the ``example``-th, counted over all epochs."""
        epoch, index = divmod(example, self._count)
        if epoch != self._epoch:
            rng = np.random.Generator(np.random.PCG64([self._seed, epoch]))
            self._order, self._epoch = rng.permutation(self._count), epoch
        return int(self._order[index])


class Blocks:
    """Batches of ``batch`` blocks of ``block`` tokens, by number."""

    def __init__(self, tokens: Tokens, *, block: int, batch: int, seed: int) -> None:
        """``tokens``: more than ``block`` of them."""
        self.tokens, self.block, self.batch, self.seed = tokens, block, batch, seed
        self.play = min(block, len(tokens) - block)
        self.count = (len(tokens) - self.play) // block
        self._epoch = -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)
        self._offset = 0
        self._within = np.arange(block + 1)

    def at(self, number: int) -> TokenBatch:
        """The batch of that number, from 0; the same whenever it is asked for."""
        first = number * self.batch
        places = np.array([self._place(first + i) for i in range(self.batch)])
        return self._cut(places)

    def sweep(self, limit: int | None = None) -> Iterator[TokenBatch]:
        """All blocks once in their own order, or about ``limit`` tokens of them, evenly spread."""
        whole = (len(self.tokens) - 1) // self.block
        wanted = whole if limit is None else min(whole, max(1, limit // self.block))
        places = np.arange(wanted) * whole // wanted * self.block
        for start in range(0, wanted, self.batch):
            yield self._cut(places[start : start + self.batch])

    def _place(self, example: int) -> int:
        """Where the block of that number, counted over all epochs, begins."""
        epoch, index = divmod(example, self.count)
        if epoch != self._epoch:
            rng = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            self._order = rng.permutation(self.count)
            self._offset = int(rng.integers(self.play))
            self._epoch = epoch
        return self._offset + int(self._order[index]) * self.block

    def _cut(self, places: NDArray[np.int64]) -> TokenBatch:
        at = places[:, None] + self._within
        rows = torch.from_numpy(self.tokens.ids[at].astype(np.int64))
        inputs, targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
        starts = self.tokens.starts
        if len(starts) == 1:
            return TokenBatch(inputs, targets)
        documents = torch.from_numpy(np.searchsorted(starts, at, side="right"))
        targets[documents[:, 1:] != documents[:, :-1]] = IGNORED
        documents = documents[:, :-1] - documents[:, :1]
        return TokenBatch(inputs, targets, documents if bool(documents.any()) else None)
