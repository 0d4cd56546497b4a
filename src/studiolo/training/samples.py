"""What a language model in training writes, to look at on the way.

Written by the family's own steps, as everywhere. A text longer than the model's context goes on
from the last half of one. Knows token ids; does not know text.
"""

from __future__ import annotations

from collections.abc import Sequence

from studiolo.family.autoregressive import Autoregressive, TokenRequest
from studiolo.sampler.decoding import generator
from studiolo.sampler.settings import Decoding


def continuation(
    model: Autoregressive,
    prompt: Sequence[int],
    count: int,
    seed: int,
    decoding: Decoding | None = None,
) -> list[int]:
    """``count`` token ids after ``prompt``, of which at least one is needed."""
    rng, made = generator(seed), list[int]()
    context = model.config.context
    while len(made) < count:
        before = (*prompt, *made)[-(context // 2) :]
        request = TokenRequest(
            before, min(count - len(made), context - len(before)), decoding or Decoding()
        )
        progress = model.begin(request, rng)
        while not progress.done:
            failed = model.advance([progress], [progress.demand])
            if failed:
                raise failed[0]
        made += model.finish(progress).tokens
    return made
