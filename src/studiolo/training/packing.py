"""Examples laid into blocks: several to a block, none of them cut, each seen by itself alone.

Lengths are fitted longest first, each into the fullest block that has room for it (best fit; at
most 11/9 of the least possible number of blocks, Johnson 1974). That is done once; an epoch is
another order of the blocks. Knows ids and which of them count; does not know what they mean.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from studiolo.training.data import Shuffle, TokenBatch
from studiolo.training.losses import IGNORED

PADDING = 0


@dataclass(frozen=True)
class Example:
    """``ids``: int64 ``[T]``, T at least 2. ``counts``: bool ``[T]``, which are to be foreseen."""

    ids: NDArray[np.int64]
    counts: NDArray[np.bool_]


def packed(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Which of ``lengths``, each at most ``room``, go together, by their index."""
    blocks: list[list[int]] = []
    free: list[tuple[int, int]] = []  # room left and block, in order
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        at = bisect_left(free, (lengths[index], 0))
        if at == len(free):
            left, block = room, len(blocks)
            blocks.append([])
        else:
            left, block = free.pop(at)
        blocks[block].append(index)
        if left > lengths[index]:
            insort(free, (left - lengths[index], block))
    return blocks


class Packs:
    """Batches of ``batch`` blocks of ``block`` tokens, by number, as those of ``data.Blocks``."""

    def __init__(self, examples: Sequence[Example], *, block: int, batch: int, seed: int) -> None:
        """``examples``: at least one, each of at most ``block`` + 1 tokens."""
        self._examples, self.block, self.batch = examples, block, batch
        # An example of n tokens is n - 1 inputs, each with the next token as its target.
        self._packs = packed([len(each.ids) - 1 for each in examples], block)
        self._shuffle = Shuffle(len(self._packs), seed)

    def at(self, number: int) -> TokenBatch:
        """The batch of that number, from 0; the same whenever it is asked for."""
        first = number * self.batch
        return self._laid([self._packs[self._shuffle.at(first + i)] for i in range(self.batch)])

    def sweep(self, limit: int | None = None) -> Iterator[TokenBatch]:
        """All blocks once in their own order, or about ``limit`` tokens of them, evenly spread."""
        whole = len(self._packs)
        wanted = whole if limit is None else min(whole, max(1, limit // self.block))
        chosen = [self._packs[i * whole // wanted] for i in range(wanted)]
        for start in range(0, wanted, self.batch):
            yield self._laid(chosen[start : start + self.batch])

    def _laid(self, packs: Sequence[Sequence[int]]) -> TokenBatch:
        shape = (len(packs), self.block)
        inputs, documents = np.full(shape, PADDING), np.full(shape, -1)
        targets = np.full(shape, IGNORED)
        for row, pack in enumerate(packs):
            at = 0
            for number, index in enumerate(pack):
                example = self._examples[index]
                end = at + len(example.ids) - 1
                inputs[row, at:end] = example.ids[:-1]
                targets[row, at:end] = np.where(example.counts, example.ids, IGNORED)[1:]
                documents[row, at:end] = number
                at = end
        longest = max(1, int((documents >= 0).sum(1).max()))
        return TokenBatch(
            *(torch.from_numpy(each[:, :longest].copy()) for each in (inputs, targets, documents))
        )


def rows(examples: Sequence[Example]) -> TokenBatch:
    """One example a row, as long as the longest; what is behind the others is not seen by them."""
    longest = max(len(each.ids) for each in examples) - 1
    inputs = np.full((len(examples), longest), PADDING)
    targets = np.full((len(examples), longest), IGNORED)
    for row, example in enumerate(examples):
        end = len(example.ids) - 1
        inputs[row, :end] = example.ids[:-1]
        targets[row, :end] = np.where(example.counts, example.ids, IGNORED)[1:]
    return TokenBatch(torch.from_numpy(inputs), torch.from_numpy(targets))
