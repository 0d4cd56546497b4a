"""What is asked of an upstream in the OpenAI API's words."""

from __future__ import annotations

from typing import Any

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import TextAsk
from studiolo.task.remote.openai import OpenAIWire
from studiolo.task.remote.settings import EXTENSIONS, Remote

WIRE = OpenAIWire()
SAID: Any = [{"role": "user", "content": "hello"}]
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def remote(*accepts: str) -> Remote:
    return Remote.model_validate(
        {"dialect": "openai", "url": "http://x/v1", "model": "theirs", "accepts": accepts}
    )


def body(options: dict[str, Any], *accepts: str, **ask: Any) -> dict[str, Any]:
    ask = {"messages": SAID, **ask}
    path, made = WIRE.request(TextAsk("ours", options=options, **ask), remote(*accepts))
    assert path == ("/completions" if ask["messages"] is None else "/chat/completions")
    assert made.pop("stream") is True
    assert made.pop("stream_options") == {"include_usage": True}
    assert made.pop("model") == "theirs"
    return made


def test_the_key_is_a_bearer() -> None:
    assert WIRE.headers("sk-1") == {"authorization": "Bearer sk-1"}
    assert WIRE.headers(None) == {}


def test_a_conversation() -> None:
    options = {
        "temperature": 0.5, "top_p": 1.0, "seed": 3, "stop": ["a"], "n": 2, "max_tokens": 9,
        "logit_bias": {3: -100.0}, "log_probs": 4, "presence_penalty": 0.0,
    }  # fmt: skip
    made = body(options)
    assert made.pop("messages") == SAID
    assert (made.pop("logprobs"), made.pop("top_logprobs")) == (True, 4)
    del options["log_probs"]
    assert made == options


def test_a_schema_is_a_format() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }
    assert body({"json_schema": schema})["response_format"] == wanted
    assert body({"json_schema": '{"type": "object"}'})["response_format"] == {"type": "json_object"}
    for nonsense in (True, "[]", "{"):
        with pytest.raises(InvalidRequestError, match="json_schema: must be an object"):
            body({"json_schema": nonsense})


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("f", {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tools(choice: str, wanted: object) -> None:
    made = body({}, tools=[TOOL], tool_choice=choice, parallel=False)
    assert (made["tools"], made["tool_choice"]) == ([TOOL], wanted)
    assert made["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in body({}, tools=[TOOL])
    assert "tool_choice" not in body({})


def test_a_prompt() -> None:
    made = body({"log_probs": 2, "max_tokens": 5}, messages=None, prompt=[1, 2], suffix="end")
    assert made == {"prompt": [1, 2], "suffix": "end", "logprobs": 2, "max_tokens": 5}
    with pytest.raises(InvalidRequestError, match="json_schema"):
        body({"json_schema": {}}, messages=None, prompt="x")


def test_extensions_go_only_where_they_are_accepted() -> None:
    values = {"ignore_eos": True, "regex": "a", "grammar": "start: A", "choices": ["a"], "beams": 2}
    values |= {"top_k": 3, "min_p": 0.1, "typical_p": 0.5, "repetition_penalty": 1.1}
    values |= {"length_penalty": 2.0}
    assert set(values) | {"json_schema", "truncate", "max_completion_tokens"} == set(EXTENSIONS)
    for name, value in values.items():
        assert body({name: value}, name)[name] == value
        with pytest.raises(InvalidRequestError) as caught:
            body({name: value})
        assert caught.value.field == name
    newer = body({"max_tokens": 7}, "max_completion_tokens")
    assert newer["max_completion_tokens"] == 7
    assert "max_tokens" not in newer


def test_a_prompt_elsewhere_cannot_be_scored() -> None:
    with pytest.raises(InvalidRequestError, match="echo"):
        body({"log_probs": 1, "max_tokens": 0}, messages=None, prompt="a", echo=True)


def test_an_answer_elsewhere_cannot_be_begun() -> None:
    with pytest.raises(InvalidRequestError, match="begun"):
        body({}, begun=(1, 2))
