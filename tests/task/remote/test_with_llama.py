"""Another's server: llama.cpp's, with the starter model, asked as a model elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xllamacpp

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Choice, Outcome, TextAsk, collect
from studiolo.task.remote.models import open_remotes
from studiolo.task.remote.settings import Remote

SAID: Any = [{"role": "user", "content": "What is rain?"}]
SCHEMA = {"type": "object", "properties": {"wet": {"type": "boolean"}}, "required": ["wet"]}


@pytest.fixture(scope="module")
def llama(starter: Path) -> Iterator[Remote]:
    """llama.cpp's server on a free port."""
    params = xllamacpp.CommonParams()
    params.model.path = str(next(starter.glob("*.gguf")))
    params.n_ctx = 1024
    params.n_parallel, params.n_gpu_layers, params.port = 1, 0, 0
    params.warmup, params.verbosity = False, -1
    server = xllamacpp.Server(params)
    yield Remote(
        dialect="openai",
        url=f"{server.listening_address}/v1",
        model="any",
        accepts=frozenset(("top_k", "min_p")),
    )
    del server


def told(remote: Remote, **ask: Any) -> tuple[Choice, Outcome]:
    async def main() -> tuple[Choice, Outcome]:
        model = open_remotes({"far": remote})["far"]
        async with model.tell(TextAsk("far", **ask)) as answer:
            (choice,) = await collect(answer)
            return choice, answer.outcome

    return asyncio.run(main())


def test_a_conversation_with_its_log_probabilities(llama: Remote) -> None:
    options = {"max_tokens": 12, "temperature": 0.0, "log_probs": 2, "top_k": 40}
    choice, took = told(llama, messages=SAID, options=options)
    assert "ain" in choice.text
    assert choice.reason == "length"
    assert "".join(each.text for each in choice.scores) == choice.text
    assert all(each.log_prob <= 0 and len(each.top) == 2 for each in choice.scores)
    assert took.completion_tokens == 12
    assert took.prompt_tokens > 10


def test_a_prompt_and_a_stop(llama: Remote) -> None:
    options = {"max_tokens": 24, "temperature": 0.0, "stop": [","]}
    choice, took = told(llama, prompt="Red, green,", options=options)
    assert choice.text
    assert "," not in choice.text
    assert (choice.reason, took.completion_tokens < 24) == ("stop", True)


def test_a_schema_holds(llama: Remote) -> None:
    options = {"max_tokens": 40, "temperature": 0.0, "json_schema": SCHEMA}
    choice, _ = told(llama, messages=SAID, options=options)
    assert isinstance(json.loads(choice.text)["wet"], bool)


def test_too_much_is_refused_in_its_words(llama: Remote) -> None:
    with pytest.raises(InvalidRequestError, match="exceeds the available context size"):
        told(llama, prompt="x " * 3000, options={"max_tokens": 5})
