"""Beam search, as pure bookkeeping over log-probabilities.

The caller owns the model. It asks for nothing but the log-probabilities of the next
token of every live hypothesis, and is told from which parent each new one grew, so that
it can reorder its caches::

    beams = Beams(beams=4, length_penalty=1.0, eos_ids={2}, max_tokens=50)
    while not beams.done:
        parents, tokens = beams.step(log_probs)      # [len(beams.live), V]
        ...                                          # run the model on `tokens` for the next

The score of a hypothesis is ``log_prob / length ** length_penalty`` (Wu et al. 2016,
equation 14, in the simpler form of Hugging Face); its length counts every generated
token, the end token too.

Notable choices. *The rules are Hugging Face's* (``early_stopping="never"``): at each
step the continuations of all live hypotheses are ranked together; those that end finish
if they rank among the first ``beams``, and the best ``beams`` others live on. *Stopping
is exact*: it stops when no live hypothesis could still enter the ``n`` best, given that
log-probabilities only fall. *Ties are settled*: by the better parent, then the likelier
token, then the lower id. Sums are float64.

This module does not know the model, its cache, or text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from studiolo.errors import InvalidRequestError, StudioloError
from studiolo.sampler import strategies


@dataclass(frozen=True)
class Hypothesis:
    """One text of a beam search. ``log_prob`` is in nats; ``tokens`` include an end token."""

    tokens: tuple[int, ...]
    score: float
    log_prob: float
    finished: bool
    """Ended by itself; False if the limit or the caller cut it short."""


@dataclass(frozen=True)
class _Live:
    tokens: tuple[int, ...]
    log_prob: float


class Beams:
    """The state of one search. ``live`` starts as the empty text alone.

    Args:
        beams: how many hypotheses live on after each step, at least 1.
        length_penalty: the exponent of the length; above 0 favours longer texts.
        eos_ids: token ids that end a text.
        max_tokens: the limit of a text's length, at least 1.
        n: how many of the best are wanted, at most ``beams`` (the default): the fewer,
            the earlier the search can stop.
        stop: whether generated tokens end the text, besides ``eos_ids``.

    Raises:
        InvalidRequestError: for counts below 1, or ``n`` above ``beams``.
    """

    def __init__(
        self,
        beams: int,
        length_penalty: float = 1.0,
        eos_ids: Collection[int] = frozenset(),
        max_tokens: int = 256,
        *,
        n: int | None = None,
        stop: Callable[[Sequence[int]], bool] | None = None,
    ) -> None:
        wanted = beams if n is None else n
        for field, value in (("beams", beams), ("max_tokens", max_tokens), ("n", wanted)):
            if value < 1:
                raise InvalidRequestError(field, f"{value} is less than 1")
        if wanted > beams:
            raise InvalidRequestError(
                "n",
                f"{wanted} texts are wanted but a search with {beams} beams finds {beams}",
                remedy=f"Set beams to at least {wanted}.",
            )
        self.beams = beams
        self.length_penalty = length_penalty
        self.eos_ids = frozenset(eos_ids)
        self.max_tokens = max_tokens
        self.n = wanted
        self._stop = stop
        self._live = [_Live((), 0.0)]
        self._pool: list[Hypothesis] = []

    @property
    def live(self) -> list[tuple[int, ...]]:
        """The tokens of the live hypotheses, best first, in the order of ``step``'s rows."""
        return [beam.tokens for beam in self._live]

    @property
    def done(self) -> bool:
        """Whether nothing that could still happen would change the ``n`` best.

        Each further token adds at most 0 to a log-probability, so with a positive length
        penalty a live text can at best keep its sum until the limit of length, and
        otherwise at best end with its next token.
        """
        if not self._live:
            return True
        if len(self._pool) < self.n:
            return False
        best = self._live[0]
        length = self.max_tokens if self.length_penalty > 0 else len(best.tokens) + 1
        return self._score(best.log_prob, length) <= self._pool[self.n - 1].score

    def step(self, log_probs: Tensor) -> tuple[list[int], list[int]]:
        """Grow every live hypothesis by one token.

        ``log_probs``: ``[len(live), V]``, natural logarithms; ``-inf`` forbids a token.
        Returns, for each hypothesis now live, the row it grew from and its new token.

        Raises:
            StudioloError: if the rows are not one for each live hypothesis, or hold NaN
                or a value above 0 by more than rounding.
        """
        rows = [strategies.array(row) for row in log_probs]
        if len(rows) != len(self._live):
            raise StudioloError(
                f"beam search has {len(self._live)} live hypotheses, "
                f"but log-probabilities for {len(rows)} were given"
            )
        for row in rows:
            if not row.max(initial=-np.inf) <= 1e-3:
                raise StudioloError("beam search was given log-probabilities that are none")
        if not self._live:
            return [], []
        grown: list[_Live] = []
        parents: list[int] = []
        length = len(self._live[0].tokens) + 1
        for rank, (parent, token, log_prob) in enumerate(self._ranked(rows)):
            if len(grown) == self.beams or (length == self.max_tokens and rank == self.beams):
                break
            tokens = (*self._live[parent].tokens, token)
            ended = token in self.eos_ids or (self._stop is not None and self._stop(tokens))
            if not ended and length < self.max_tokens:
                grown.append(_Live(tokens, log_prob))
                parents.append(parent)
            elif rank < self.beams:
                score = self._score(log_prob, length)
                self._pool.append(Hypothesis(tokens, score, log_prob, ended))
        # The sort is stable: of equal scores, what was found first stays ahead.
        self._pool.sort(key=lambda hypothesis: -hypothesis.score)
        del self._pool[self.beams :]
        self._live = grown
        return parents, [beam.tokens[-1] for beam in grown]

    def results(self, n: int | None = None) -> list[Hypothesis]:
        """The ``n`` best (by default all that were wanted), best first; fewer if there are fewer.

        Before the search is done, live hypotheses fill up what finished ones leave free.
        """
        found = list(self._pool)
        for beam in self._live:
            if beam.tokens:
                score = self._score(beam.log_prob, len(beam.tokens))
                found.append(Hypothesis(beam.tokens, score, beam.log_prob, False))
        return found[: self.n if n is None else n]

    def _score(self, log_prob: float, length: int) -> float:
        return float(log_prob / length**self.length_penalty)

    def _ranked(self, rows: Sequence[strategies.Array]) -> Iterator[tuple[int, int, float]]:
        """Possible continuations (parent, token, log-probability), the best first.

        Whatever is among the best ``head`` of all is among the best ``head`` of its row.
        A few suffice unless many end at once; then they are sought again, among more.
        """
        size = max(row.size for row in rows)
        head, given = self.beams * (1 + len(self.eos_ids)), 0
        while given < len(rows) * size:
            best = [strategies.highest(row, head) for row in rows]
            sums: NDArray[np.float64] = np.concatenate(
                [
                    beam.log_prob + row[ids].astype(np.float64)
                    for beam, row, ids in zip(self._live, rows, best, strict=True)
                ]
            )
            parents = np.repeat(np.arange(len(rows)), [ids.size for ids in best])
            tokens = np.concatenate(best)
            # Rows stand in order of parent and, within, of likelihood and id: a stable
            # sort settles ties by just that.
            order = np.argsort(-sums, kind="stable")[: len(rows) * size if head >= size else head]
            for place in order[given:]:
                if sums[place] == -np.inf:
                    return
                yield int(parents[place]), int(tokens[place]), float(sums[place])
            given, head = order.size, head * 4
            if order.size == len(rows) * size:
                return
