"""A contestant without a model, by which the tests try the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class FakeLM:
    """See :class:`bench.contestants.Contestant`. The model's name says how to behave."""

    version = "0"

    def __init__(self, model: str, threads: int) -> None:
        print("noise that a library writes to standard output")
        if model == "broken":
            raise ValueError("this model is broken")
        self._model = model

    def stream(self, prompt: Sequence[int], count: int, tick: Callable[[], None]) -> int:
        """Tick at once for every token; the model "short" stops too early."""
        made = count - 1 if self._model == "short" else count
        for _ in range(made):
            tick()
        return made

    def continuation(self, prompt: Sequence[int], count: int) -> list[int]:
        """Count on from the prompt's last token."""
        return [prompt[-1] + 1 + i for i in range(count)]


CONTESTANT = FakeLM
