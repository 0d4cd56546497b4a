"""llama.cpp's server through xllamacpp: parallel slots, its handler called in process."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import xllamacpp

from bench.serving import Prompts, overtaken

CELL = 256
"""llama.cpp rounds the room of a slot up to this."""


class LlamaCppServer:
    """See :class:`bench.serving.Server`. ``model`` is a GGUF file.

    A slot for each stream and no more room than it needs, which suits it best: the server is
    started anew for each number of streams. It is asked for whole answers, so that it need not
    wake a reader for each token. Its cache of prompts is off.
    """

    def __init__(self, model: str, threads: int) -> None:
        self.version = str(xllamacpp.__version__)
        self._model, self._threads = model, threads
        self._server: Any = None
        self._shape = (0, 0)
        self.ready(1, CELL)

    def ready(self, streams: int, tokens: int) -> None:
        """Start the server with as many slots, each as long."""
        shape = (streams, -(-tokens // CELL) * CELL)
        if shape == self._shape:
            return
        self._server = None  # the old one ends before the new one takes memory
        params = xllamacpp.CommonParams()
        params.model.path = self._model
        params.n_parallel, params.n_ctx = streams, streams * shape[1]
        params.kv_unified = False
        params.cache_ram_mib = 0
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        params.verbosity = 0
        self._server, self._shape = xllamacpp.Server(params), shape

    def together(self, prompts: Prompts, count: int) -> list[int]:
        """Each prompt is asked by a thread of its own, as connections of its server are."""

        def ask(prompt: Sequence[int]) -> int:
            answer = self._server.handle_completions(
                {
                    "prompt": list(prompt),
                    "n_predict": count,
                    "temperature": 0,
                    "ignore_eos": True,
                    "cache_prompt": False,
                }
            )
            return int(answer.get("usage", {}).get("completion_tokens", 0))

        with ThreadPoolExecutor(len(prompts)) as pool:
            return list(pool.map(ask, prompts))

    def overtaking(self, long: Sequence[int], short: Sequence[int], after: float) -> float | None:
        """In two slots."""
        return overtaken(self.together, long, short, after)


CONTESTANT = LlamaCppServer
