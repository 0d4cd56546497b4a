"""OpenVINO GenAI's continuous batching on a GGUF file, stepped by the caller."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino
import openvino_genai

from bench.process import ContestantError
from bench.serving import Prompts

CACHE_GB = 4
FINISHED = openvino_genai.GenerationStatus.FINISHED


class OpenVinoServer:
    """See :class:`bench.serving.Server`. Its scheduler's defaults, but no prefix cache."""

    def __init__(self, model: str, threads: int) -> None:
        self.version = str(openvino_genai.__version__)
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = CACHE_GB
        scheduler.enable_prefix_caching = False
        self._pipeline: Any = openvino_genai.ContinuousBatchingPipeline(
            model, scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads}
        )
        self._asked = 0

    def ready(self, streams: int, tokens: int) -> None:
        """Its pages are taken as they are needed."""

    def _ask(self, prompt: Sequence[int], count: int) -> Any:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = count
        config.ignore_eos = True
        config.do_sample = False
        self._asked += 1
        ids = openvino.Tensor(np.array([list(prompt)], dtype=np.int64))
        return self._pipeline.add_request(self._asked, ids, config)

    def together(self, prompts: Prompts, count: int) -> list[int]:
        """Added at once, and stepped until none is left."""
        handles = [self._ask(prompt, count) for prompt in prompts]
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        return [len(handle.read_all()[0].generated_ids) for handle in handles]

    def overtaking(self, long: Sequence[int], short: Sequence[int], after: float) -> float | None:
        """The short one waits for the step that is being taken, as it would in a server."""
        start = time.perf_counter()
        reading = self._ask(long, 1)
        while time.perf_counter() - start < after and reading.get_status() != FINISHED:
            self._pipeline.step()
        if reading.get_status() == FINISHED:
            raise ContestantError("the long prompt was read before the short one came")
        handle = self._ask(short, 1)
        while handle.get_status() != FINISHED:
            self._pipeline.step()
        seconds = time.perf_counter() - start - after
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        return seconds


CONTESTANT = OpenVinoServer
