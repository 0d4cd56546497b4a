"""Studiolo's own loop: ``studiolo.load`` behind :class:`studiolo.runtime.engine.Engine`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

import studiolo
from bench.limits import Limits, measure
from bench.serving import Prompts, overtaken
from studiolo.family.autoregressive import Autoregressive
from studiolo.runtime.engine import Engine

NAME = "model"
ROOM = 1 << 34
"""Bytes that requests may hold: more than any column needs, so that none waits."""


class StudioloServer:
    """See :class:`bench.serving.Server`. Its pace is the engine's default.

    It guesses nothing: greedy texts that repeat themselves would come out several times as fast,
    and no peer was asked to do that.
    """

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = studiolo.__version__
        self._lm = studiolo.load(model, device="cpu")
        self._lm.model.speculate = False
        self._engine = Engine(model_memory=1, request_memory=ROOM)
        self._engine.add(NAME, self._load, size=1)

    def _load(self) -> Autoregressive:
        return self._lm.model

    def ready(self, streams: int, tokens: int) -> None:
        """Pages are taken as they are needed."""

    def together(self, prompts: Prompts, count: int) -> list[int]:
        """Each prompt is a request of its own."""
        tickets = []
        for prompt in prompts:
            asked = self._lm.prepare(
                prompt,
                max_tokens=count,
                ignore_eos=True,
                temperature=0.0,
                repetition_penalty=1.0,
                seed=0,
            )
            tickets.append(self._engine.submit(NAME, asked.request))
        return [len(ticket.result().tokens) for ticket in tickets]

    def overtaking(self, long: Sequence[int], short: Sequence[int], after: float) -> float | None:
        """Both in the one loop."""
        return overtaken(self.together, long, short, after)

    def limits(self) -> Limits | None:
        """Of this machine, now."""
        return measure(self._lm.model.network)


CONTESTANT = StudioloServer
