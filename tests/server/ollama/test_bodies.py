"""Bodies: what is not known or not possible is refused by its name, whatever it is."""

from __future__ import annotations

from typing import Any

import ollama
import pytest

from studiolo.errors import InvalidRequestError
from studiolo.server.ollama.bodies import OllamaChatBody, OllamaEmbedBody, OllamaGenerateBody
from studiolo.task.openai.fields import Body, parse

WRONG: list[tuple[type[Body], dict[str, Any], str]] = [
    (OllamaGenerateBody, {"template": "{{ .Prompt }}"}, "template"),
    (OllamaGenerateBody, {"context": [1, 2]}, "context"),
    (OllamaGenerateBody, {"images": ["x"]}, "images"),
    (OllamaGenerateBody, {"width": 64}, "width"),
    (OllamaGenerateBody, {"think": True}, "think"),
    (OllamaGenerateBody, {"think": "high"}, "think"),
    (OllamaGenerateBody, {"truncate": True}, "truncate"),
    (OllamaGenerateBody, {"top_logprobs": 21}, "top_logprobs"),
    (OllamaGenerateBody, {"options": {"num_gpu": 1}}, "options.num_gpu"),
    (OllamaGenerateBody, {"options": {"mirostat": 1}}, "options.mirostat"),
    (OllamaGenerateBody, {"options": {"num_predict": -3}}, "options.num_predict"),
    (OllamaGenerateBody, {"options": {"seed": "x"}}, "options.seed"),
    (OllamaGenerateBody, {"format": 1}, "format"),
    (OllamaGenerateBody, {"banana": 1}, "banana"),
    (OllamaChatBody, {"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
    (OllamaChatBody, {"messages": [{"role": "user", "images": ["x"]}]}, "messages.0.images"),
    (OllamaChatBody, {"tools": [{"type": "function"}]}, "tools.0.function"),
    (OllamaEmbedBody, {"input": [1]}, "input.0"),
    (OllamaEmbedBody, {"input": "x", "options": {"num_ctx": 3}}, "options"),
]


@pytest.mark.parametrize(("kind", "change", "field"), WRONG, ids=[each[2] for each in WRONG])
def test_what_is_wrong_is_named(kind: type[Body], change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        parse(kind, {"model": "tiny", **change})
    assert wrong.value.field == field


def test_what_asks_for_nothing_is_accepted(client: ollama.Client) -> None:
    nothing = {"repeat_last_n": -1, "penalize_newline": True, "mirostat": 0, "tfs_z": 1.0}
    made = client.generate(
        "tiny",
        "x",
        suffix="",
        system="",
        template="",
        context=[],
        raw=False,
        think=False,
        format="",
        keep_alive="5m",
        logprobs=False,
        top_logprobs=0,
        options={"num_predict": 1, "stop": [], "seed": -1, **nothing},
    )
    assert made.eval_count == 1
