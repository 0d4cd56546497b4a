"""Studiolo through its public door, ``studiolo.load`` and ``LanguageModel.stream``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

import studiolo


class StudioloLM:
    """See :class:`bench.contestants.Contestant`. It guesses nothing, since no peer does."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = studiolo.__version__
        self._lm = studiolo.load(model, device="cpu")
        self._lm.model.speculate = False

    def _open(self, prompt: Sequence[int], count: int) -> studiolo.TextStream:
        return self._lm.stream(
            prompt, max_tokens=count, ignore_eos=True, temperature=0.0, repetition_penalty=1.0
        )

    def stream(self, prompt: Sequence[int], count: int, tick: Callable[[], None]) -> int:
        """One tick for each piece of text."""
        stream = self._open(prompt, count)
        for _ in stream:
            tick()
        return stream.result.usage.completion_tokens

    def continuation(self, prompt: Sequence[int], count: int) -> list[int]:
        """Greedy ids."""
        stream = self._open(prompt, count)
        for _ in stream:
            pass
        return list(stream.result.token_ids)


CONTESTANT = StudioloLM
