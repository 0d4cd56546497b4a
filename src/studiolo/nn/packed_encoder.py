"""An encoder in packed integer arithmetic, played from a tape.

Whole sequences are rows of one step; a token's state depends on its own sequence alone, to the
bit, whatever else is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from studiolo.nn.config import EncoderConfig
from studiolo.nn.network import PAGE
from studiolo.nn.packed_decoder import ROWS
from studiolo.nn.tape import Page, Player, Step, Tape


class PackedEncoder:
    """Reads sequences from both sides."""

    def __init__(self, config: EncoderConfig, tape: Tape, player: Player) -> None:
        self.config, self.tape, self.player = config, tape, player
        self._pages: list[Page] = []

    def read(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        """Float32 hidden states ``[length, width]`` of each sequence, none of them empty."""
        return [states for batch in _batches(sequences) for states in self._play(batch)]

    def _play(self, batch: Sequence[Sequence[int]]) -> list[Tensor]:
        lengths = [len(sequence) for sequence in batch]
        position = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])
        step = Step(
            token=np.concatenate([np.array(sequence, np.int32) for sequence in batch]),
            position=position,
            until=np.repeat(np.array(lengths, np.int32), lengths),
            sequence=np.repeat(np.arange(len(batch), dtype=np.int32), lengths),
            wanted=np.arange(len(position), dtype=np.int32),
            pages=list(self._room(lengths)),
        )
        return list(torch.split(self.player.play(self.tape, step), lengths))

    def _room(self, lengths: Sequence[int]) -> Iterator[list[Page]]:
        """Pages for each sequence, used again by the next step."""
        taken = 0
        for length in lengths:
            count = -(-length // PAGE)
            while len(self._pages) < taken + count:
                self._pages.append(self.tape.new_page())
            yield self._pages[taken : taken + count]
            taken += count


def _batches(sequences: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """Whole sequences, in order, :data:`ROWS` tokens at most together or one alone."""
    batch: list[Sequence[int]] = []
    rows = 0
    for sequence in sequences:
        if batch and rows + len(sequence) > ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(sequence)
        rows += len(sequence)
    if batch:
        yield batch
