"""A walk, token by token, that shows at each fork where three ways of choosing would go.

Greedy takes the likeliest token. Sampling throws a die over the whole distribution,
sharpened or flattened by the temperature. Top-p and top-k first drop the unlikely tail and
then throw. Both throws use the same number at each step, so that a difference between them
is the cut's doing and not chance's. The walk goes on with the last of the three.

The cuts are those of :mod:`studiolo.sampler`, not copies. Knows neither a terminal nor
how a model works: it is given a function from tokens so far to log-probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from studiolo.sampler.decoding import draw, generator, shape
from studiolo.sampler.history import History
from studiolo.sampler.settings import Decoding

LogProbs = Callable[[list[int]], torch.Tensor]
"""From the generated ids so far to the next token's log-probabilities in nats, ``[V]``."""


@dataclass(frozen=True)
class Fork:
    """One step: what was likely, what the cut kept, and where each way would go.

    ``candidates`` are the likeliest ids, most likely first; ``probabilities`` is ``[V]``,
    the model's own; ``kept`` is bool ``[V]``.
    """

    candidates: list[int]
    probabilities: torch.Tensor
    kept: torch.Tensor
    greedy: int
    temperature: int
    chosen: int

    @property
    def rows(self) -> list[int]:
        """The candidates, and after them any choice that was not among them."""
        return list(dict.fromkeys((*self.candidates, self.temperature, self.chosen)))


def walk(
    log_probs: LogProbs, settings: Decoding, *, k: int, steps: int, seed: int
) -> Iterator[Fork]:
    """``steps`` forks, each with its ``k`` likeliest tokens; goes on with ``Fork.chosen``."""
    sampling = Decoding.checked(temperature=settings.temperature)
    one, other = generator(seed), generator(seed)
    generated: list[int] = []
    for _ in range(steps):
        now = log_probs(generated)
        history = History(generated=generated)
        heated = shape(now, history, sampling)
        cut = shape(now, history, settings)
        ranked = now.topk(min(k, len(now))).indices.tolist()
        fork = Fork(
            candidates=ranked,
            probabilities=now.exp(),
            kept=cut.isfinite(),
            greedy=ranked[0],
            temperature=draw(heated, one),
            chosen=draw(cut, other),
        )
        yield fork
        generated.append(fork.chosen)
