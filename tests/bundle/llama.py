"""llama.cpp itself, through ``xllamacpp``, asked what it makes of a GGUF."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xllamacpp


class Llama:
    """Its server's answers."""

    def __init__(self, address: str) -> None:
        self._address = address.removeprefix("http://")

    def encoded(self, text: str) -> list[int]:
        """Token ids."""
        told = self._ask("/tokenize", content=text, add_special=True, parse_special=False)
        return [int(i) for i in told["tokens"]]

    def decoded(self, ids: Sequence[int]) -> str:
        """The text of tokens."""
        return str(self._ask("/detokenize", tokens=list(ids))["content"])

    def greedy(self, prompt: Sequence[int], count: int, top: int) -> list[dict[int, float]]:
        """The ``top`` likeliest tokens and their log-probabilities, at each place."""
        told = self._ask(
            "/completion",
            prompt=list(prompt),
            n_predict=count,
            temperature=0,
            n_probs=top,
            post_sampling_probs=False,
            cache_prompt=False,
            ignore_eos=True,
        )
        return [
            {int(each["id"]): float(each["logprob"]) for each in place["top_logprobs"]}
            for place in told["completion_probabilities"]
        ]

    def _ask(self, path: str, **body: object) -> Any:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, data
        return json.loads(data)


@contextmanager
def running(path: Path, context: int = 64) -> Iterator[Llama]:
    """llama.cpp with the model at ``path``, in float32 all the way."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = params.n_batch = params.n_ubatch = context
    params.n_parallel, params.n_gpu_layers, params.port = 1, 0, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.warmup, params.verbosity = False, -1
    server = xllamacpp.Server(params)
    try:
        yield Llama(server.listening_address)
    finally:
        del server
