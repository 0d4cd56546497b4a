"""OpenVINO GenAI, which reads the GGUF file and its tokenizer itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openvino
import openvino_genai


class _Ticks(openvino_genai.StreamerBase):  # type: ignore[misc]
    """Tell of each token."""

    def __init__(self, tick: Callable[[], None]) -> None:
        super().__init__()
        self._tick = tick
        self.ids: list[int] = []

    def write(self, token: int | list[int]) -> Any:
        self._tick()
        self.ids.extend([token] if isinstance(token, int) else token)
        return openvino_genai.StreamingStatus.RUNNING

    def end(self) -> None:
        pass


class OpenVinoLM:
    """See :class:`bench.contestants.Contestant`. ``model`` is a GGUF file."""

    def __init__(self, model: str, threads: int) -> None:
        self.version = str(openvino_genai.__version__)
        self._pipeline: Any = openvino_genai.LLMPipeline(
            model, "CPU", INFERENCE_NUM_THREADS=threads
        )

    def _generate(self, prompt: Sequence[int], count: int, tick: Callable[[], None]) -> list[int]:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = count
        config.ignore_eos = True
        config.do_sample = False
        ticks = _Ticks(tick)
        ids = np.array([list(prompt)], dtype=np.int64)
        self._pipeline.generate(openvino.Tensor(ids), config, ticks)
        return ticks.ids

    def stream(self, prompt: Sequence[int], count: int, tick: Callable[[], None]) -> int:
        """One tick for each token."""
        return len(self._generate(prompt, count, tick))

    def continuation(self, prompt: Sequence[int], count: int) -> list[int]:
        """Greedy ids."""
        return self._generate(prompt, count, lambda: None)


CONTESTANT = OpenVinoLM
