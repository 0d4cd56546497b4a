"""llama.cpp through xllamacpp, whose only door is llama.cpp's server, called in process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import xllamacpp


class LlamaCppLM:
    """See :class:`bench.contestants.Contestant`. ``model`` is a GGUF file."""

    def __init__(self, model: str, threads: int) -> None:
        self.version = str(xllamacpp.__version__)
        params = xllamacpp.CommonParams()
        params.model.path = model
        params.n_ctx = 1024
        params.n_parallel = 1
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        self._server: Any = xllamacpp.Server(params)

    def _ask(
        self, prompt: Sequence[int], count: int, seen: Callable[[Any], None], **more: object
    ) -> None:
        request = {
            "prompt": list(prompt),
            "n_predict": count,
            "temperature": 0,
            "ignore_eos": True,
            "cache_prompt": False,  # or the second round would have no prompt to read
            "stream": True,
            **more,
        }

        def take(answer: Any) -> bool:
            seen(answer)
            return False  # True would cancel

        self._server.handle_completions(request, take)

    def stream(self, prompt: Sequence[int], count: int, tick: Callable[[], None]) -> int:
        """One tick for each piece, and one as the server says that it is done."""
        made = 0

        def seen(answer: Any) -> None:
            nonlocal made
            tick()
            made = answer.get("usage", {}).get("completion_tokens", made)

        self._ask(prompt, count, seen)
        return made

    def continuation(self, prompt: Sequence[int], count: int) -> list[int]:
        """Greedy ids, which the server tells only beside log-probabilities."""
        ids: list[int] = []

        def seen(answer: Any) -> None:
            known = answer["choices"][0].get("logprobs") or {}
            ids.extend(int(token["id"]) for token in known.get("content", ()))

        self._ask(prompt, count, seen, logprobs=1)
        return ids


CONTESTANT = LlamaCppLM
