"""Hugging Face transformers in float32: ``generate`` with its KV cache and a streamer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers
from transformers.generation.streamers import BaseStreamer


class _Ticks(BaseStreamer):  # type: ignore[misc]
    """Tell of each token; ``generate`` shows a streamer the prompt first."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick, self._prompt_seen = tick, False

    def put(self, value: torch.Tensor) -> None:
        if self._prompt_seen:
            self._tick()
        self._prompt_seen = True

    def end(self) -> None:
        pass


class TransformersLM:
    """See :class:`bench.contestants.Contestant`. ``model`` is a Hugging Face directory."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = str(transformers.__version__)
        self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            model, dtype=torch.float32
        ).eval()
        self._model.generation_config.eos_token_id = None

    def _generate(self, prompt: Sequence[int], count: int, streamer: object) -> list[int]:
        ids = torch.tensor([list(prompt)])
        made = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            do_sample=False,
            repetition_penalty=1.0,
            pad_token_id=0,
            streamer=streamer,
        )
        return [int(i) for i in made[0, len(prompt) :]]

    def stream(self, prompt: Sequence[int], count: int, tick: Callable[[], None]) -> int:
        """One tick for each token."""
        return len(self._generate(prompt, count, _Ticks(tick)))

    def continuation(self, prompt: Sequence[int], count: int) -> list[int]:
        """Greedy ids."""
        return self._generate(prompt, count, None)


CONTESTANT = TransformersLM
