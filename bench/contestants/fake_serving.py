"""A server without a model, by which the tests try the protocol."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.serving import Prompts, overtaken


class FakeServer:
    """See :class:`bench.serving.Server`. The model's name says how to behave.

    A token takes a millisecond, whatever the number of streams; so does a hundred of a prompt.
    """

    version = "0"

    def __init__(self, model: str, threads: int) -> None:
        self._model = model
        self._room = (0, 0)

    def ready(self, streams: int, tokens: int) -> None:
        """Remember it, to refuse what is beyond."""
        self._room = (streams, tokens)

    def together(self, prompts: Prompts, count: int) -> list[int]:
        """The model "short" stops too early."""
        streams, tokens = self._room
        if len(prompts) > streams or any(len(prompt) + count > tokens for prompt in prompts):
            raise ValueError("no room was made for that")
        time.sleep(1e-3 * (count + sum(map(len, prompts)) / 100))
        return [count - (self._model == "short")] * len(prompts)

    def overtaking(self, long: Sequence[int], short: Sequence[int], after: float) -> float | None:
        """The model "alone" takes nothing in."""
        return None if self._model == "alone" else overtaken(self.together, long, short, after)


CONTESTANT = FakeServer
