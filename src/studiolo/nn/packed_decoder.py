"""A decoder in packed integer arithmetic: the :class:`Network` that plays a tape.

Each piece's tokens become rows; at most :data:`ROWS` of them are played at once. Its results are
the same bits whatever else is in the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from studiolo.errors import InterruptedStepError
from studiolo.nn.adapter import Adaptation, Adapter
from studiolo.nn.config import DecoderConfig
from studiolo.nn.network import PAGE, Piece
from studiolo.nn.rope import turns
from studiolo.nn.specification import VERSION
from studiolo.nn.tape import Floats, Ints, Page, Player, Step, Tape

ROWS = 512
"""Rows played at once: what the buffers of a step are sized by."""


class PagedCache:
    """The past of one sequence, in pages of :data:`PAGE` positions that forks share."""

    def __init__(self, tape: Tape) -> None:
        self.pages: list[Page] = []
        self.length = 0
        self._tape = tape
        self._shared = 0  # so many pages other pasts may hold too

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` more positions."""
        while len(self.pages) * PAGE < self.length + tokens:
            self.pages.append(self._tape.new_page())

    def fork(self, length: int | None = None) -> Self:
        """As :meth:`Cache.fork`; full pages are shared, and not written to again."""
        twin = type(self)(self._tape)
        twin.length = self.length if length is None else length
        full = twin._shared = twin.length // PAGE
        self._shared = max(self._shared, full)
        rest = self.pages[full : -(-twin.length // PAGE)]
        twin.pages = self.pages[:full] + [page.copy() for page in rest]
        return twin

    def truncate(self, length: int) -> None:
        """As :meth:`Cache.truncate`; a shared page that would be written to next is copied."""
        full = length // PAGE
        del self.pages[-(-length // PAGE) :]
        if full < min(self._shared, len(self.pages)):
            self.pages[full] = self.pages[full].copy()
        self._shared = min(self._shared, full)
        self.length = length

    @property
    def parts(self) -> Mapping[int, int]:
        """As :meth:`Cache.parts`: the pages."""
        return {id(page): page.nbytes for page in self.pages}


class PackedDecoder:
    """A causal language model played from its tape."""

    def __init__(self, config: DecoderConfig, tape: Tape, player: Player) -> None:
        self.config, self.tape, self.player = config, tape, player
        self._turns: list[Floats] = []
        self._stop = np.zeros(1, np.int32)

    @property
    def identity(self) -> str:
        """As :meth:`Network.identity`: the specification's, whoever plays it."""
        kept = "" if self.tape.cached == "float32" else f" {self.tape.cached} cache"
        return f"packed {VERSION}{kept}"

    @property
    def invariant(self) -> bool:
        """As :meth:`Network.invariant`: sums of integers, and everything else row by row."""
        return True

    def new_cache(self) -> PagedCache:
        """An empty past."""
        return PagedCache(self.tape)

    def cache_bytes(self, tokens: int) -> int:
        """As :meth:`Network.cache_bytes`."""
        return -(-tokens // PAGE) * self.tape.page_bytes

    def adapt(self, adapter: Adapter) -> Adaptation:
        """As :meth:`Network.adapt`."""
        form = self.player.adapt([adapter.updates.get(site) for site in self.tape.sites])
        return Adaptation(adapter.name, adapter.digest, form)

    def step(self, pieces: Sequence[Piece[PagedCache]]) -> list[Tensor]:
        """As :meth:`Network.step`."""
        scores: list[list[Tensor]] = [[] for _ in pieces]
        lengths = [piece.cache.length for piece in pieces]
        try:
            for batch in _batches(pieces):
                for (i, _, _), part in zip(batch, self._play(pieces, batch), strict=True):
                    scores[i].append(part)
        except InterruptedStepError:
            for piece, length in zip(pieces, lengths, strict=True):
                piece.cache.truncate(length)
            raise
        finally:
            self._stop[0] = 0
        return [torch.cat(parts) if len(parts) > 1 else parts[0] for parts in scores]

    def interrupt(self) -> None:
        """As :meth:`Network.interrupt`."""
        self._stop[0] = 1

    def _play(
        self, pieces: Sequence[Piece[PagedCache]], batch: Sequence[tuple[int, int, int]]
    ) -> list[Tensor]:
        """Read tokens ``begin`` to ``end`` of each piece ``i`` in ``batch``: (i, begin, end)."""
        token: list[int] = []
        position: list[int] = []
        sequence: list[int] = []
        wanted: list[int] = []
        counts: list[int] = []
        for s, (i, begin, end) in enumerate(batch):
            piece = pieces[i]
            piece.cache.reserve(end - begin)
            start = piece.cache.length
            token += piece.tokens[begin:end]
            position += range(start, start + end - begin)
            sequence += [s] * (end - begin)
            asked = max(0, end - max(begin, len(piece.tokens) - piece.wanted))
            wanted += range(len(token) - asked, len(token))
            counts.append(asked)
        adapter, adapters = _worn([(pieces[i].adapter, end - begin) for i, begin, end in batch])
        step = Step(
            token=np.array(token, np.int32),
            position=np.array(position, np.int32),
            until=np.array(position, np.int32) + 1,
            sequence=np.array(sequence, np.int32),
            wanted=np.array(wanted, np.int32),
            pages=[pieces[i].cache.pages for i, _, _ in batch],
            turns=self._tables(max(position) + 1),
            adapter=adapter,
            adapters=adapters,
            stop=self._stop,
        )
        scores = self.player.play(self.tape, step)
        for i, begin, end in batch:
            pieces[i].cache.length += end - begin
        return list(torch.split(scores, counts))

    def _tables(self, length: int) -> list[Floats]:
        """Rotations of all positions so far, grown by doubling."""
        c = self.config
        if c.rope is not None and (not self._turns or len(self._turns[0]) < length):
            ropes = [c.rope] if c.local_rope is None else [c.rope, c.local_rope]
            count = min(max(256, 2 * length), max(length, c.context))
            self._turns = [turns(rope, c.head_size, count) for rope in ropes]
        return self._turns


def _worn(
    spans: Sequence[tuple[Adaptation | None, int]],
) -> tuple[Ints | None, Sequence[object]]:
    """The number of each row's adapter, and the adapters, of spans of so many rows."""
    forms = {id(worn.form): worn.form for worn, _ in spans if worn is not None}
    if not forms:
        return None, ()
    numbers = {key: i for i, key in enumerate(forms)}
    of = np.array([-1 if worn is None else numbers[id(worn.form)] for worn, _ in spans], np.int32)
    return np.repeat(of, [count for _, count in spans]), list(forms.values())


def _batches(
    pieces: Sequence[Piece[PagedCache]],
) -> Iterator[list[tuple[int, int, int]]]:
    """Spans of pieces, :data:`ROWS` tokens at most in each batch."""
    batch: list[tuple[int, int, int]] = []
    room = ROWS
    for i, piece in enumerate(pieces):
        begin = 0
        while begin < len(piece.tokens):
            end = min(len(piece.tokens), begin + room)
            batch.append((i, begin, end))
            room -= end - begin
            begin = end
            if room == 0:
                yield batch
                batch, room = [], ROWS
    if batch:
        yield batch
