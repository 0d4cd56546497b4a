"""Conversations as OpenAI's clients send them, and answers, whole or in chunks."""

from __future__ import annotations

import asyncio
import json
import typing
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tools import ToolCall
from studiolo.record.receipt import Receipt
from studiolo.task.asking import (
    Called,
    Choices,
    Ended,
    Event,
    Outcome,
    Piece,
    Scored,
    Spelled,
)
from studiolo.task.openai import chat
from studiolo.task.openai.chat import ChatBody, ask
from studiolo.task.openai.fields import Head, parse

SAID = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
HEAD = Head("7", 5, "m")
OUTCOME = Outcome(3, 2, 8, 0.1, 0.2)


@dataclass
class Told:
    """An answer of given events."""

    events: Sequence[Event]
    fingerprint: str = "fp_1"
    prompt_tokens: int = 3
    outcome: Outcome = OUTCOME

    async def __aiter__(self) -> AsyncIterator[Event]:
        for event in self.events:
            await asyncio.sleep(0)
            yield event

    def receipt(self) -> Receipt | None:
        return None


def scored(text: str, log_prob: float = -0.5) -> Scored:
    return Scored(text, text.encode(), log_prob, (Spelled("z", b"z", -0.1),))


def called(index: int, place: int) -> Called:
    return Called(index, place, f"call_{index}{place}", ToolCall("look", {"q": place}))


ANSWERS: dict[str, list[Event]] = {
    "text": [Piece(0, "a"), Piece(0, "b"), Ended(0, "stop", "x")],
    "nothing": [Ended(0, "length")],
    "scores": [
        Piece(0, "", (scored("a"),)),
        Piece(0, "ab", (scored("b"), scored("<0xE2>", float("-inf")))),
        Ended(0, "length"),
    ],
    "samples": [
        Piece(1, "x", (scored("x"),)), Piece(0, "a", (scored("a"),)), Ended(1, "stop"),
        Piece(0, "b", (scored("b"),)), Ended(0, "length"),
    ],
    "calls": [
        Piece(0, "Let me see."), called(0, 0), called(0, 1), Ended(0, "tool_calls"),
    ],
    "a call alone": [called(0, 0), Ended(0, "tool_calls")],
}  # fmt: skip


def body(**fields: Any) -> ChatBody:
    return parse(ChatBody, {"messages": SAID, **fields})


def test_what_is_asked() -> None:
    given: dict[str, Any] = {
        "model": "m", "max_completion_tokens": 5, "temperature": 0.5, "logprobs": True,
        "top_logprobs": 3, "logit_bias": {"7": 1}, "n": 2, "user": "me", "stop": ["a"], "seed": 3,
        "top_k": 5, "stream": False, "presence_penalty": None, "tools": [TOOL],
        "tool_choice": "required", "parallel_tool_calls": False,
    }  # fmt: skip
    asked = ask(body(**given), "m")
    assert (asked.model, asked.messages, asked.tools) == ("m", SAID, (TOOL,))
    assert (asked.tool_choice, asked.parallel) == ("required", False)
    assert asked.options == {
        "max_tokens": 5, "temperature": 0.5, "log_probs": 3, "logit_bias": {7: 1.0}, "n": 2,
        "stop": ["a"], "seed": 3, "top_k": 5,
    }  # fmt: skip
    plain = ask(body(logprobs=True, max_tokens=4), "m")
    assert (plain.options, plain.parallel) == ({"log_probs": 0, "max_tokens": 4}, True)
    assert ask(body(logprobs=False), "m").options == {}


def test_every_field_of_the_client_is_known_and_may_be_null() -> None:
    hints = typing.get_type_hints(completion_create_params.CompletionCreateParamsBase)
    fields = set(hints) - {"messages"}
    assert ask(body(**dict.fromkeys(fields)), "m") == ask(body(), "m")


@pytest.mark.parametrize(
    "nothing",
    [
        {"store": False}, {"service_tier": "auto"}, {"service_tier": "default"},
        {"modalities": ["text"]}, {"metadata": {"a": "b"}}, {"reasoning_effort": "none"},
        {"verbosity": "medium"}, {"prompt_cache_key": "x"}, {"safety_identifier": "x"},
        {"parallel_tool_calls": True}, {"tool_choice": "none"},
    ],
)  # fmt: skip
def test_what_asks_for_nothing_is_accepted(nothing: dict[str, Any]) -> None:
    asked = ask(body(**nothing), "m")
    assert (asked.options, asked.tools) == ({}, ())


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": "x"}, "prompt"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
        ({"logprobs": 1}, "logprobs"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": True}, "top_logprobs"),
        ({"store": True}, "store"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"modalities": ["text", "audio"]}, "modalities.1"),
        ({"audio": {"voice": "ash", "format": "wav"}}, "audio"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": "some", "tools": [TOOL]}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
        ({"tools": [TOOL] * 129}, "tools"),
        ({"metadata": {"a": 1}}, "metadata.a"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ask(body(**fields), "m")
    assert caught.value.field == field


def test_options_are_named_as_the_body_names_them() -> None:
    assert chat.names(body(max_tokens=1)) == {"log_probs": "logprobs", "prompt": "messages"}
    format_ = {"type": "json_object"}
    named = chat.names(body(max_completion_tokens=1, response_format=format_))
    assert named["max_tokens"] == "max_completion_tokens"
    assert named["json_schema"] == "response_format"


async def listed(chunks: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk async for chunk in chunks]


def streamed(events: Sequence[Event], **options: Any) -> list[dict[str, Any]]:
    return asyncio.run(listed(chat.chunks(HEAD, Told(events), **options)))


def whole(events: Sequence[Event], **fields: Any) -> dict[str, Any]:
    return asyncio.run(chat.told(body(**fields), HEAD, Told(events)))


@pytest.mark.parametrize("name", ANSWERS)
def test_the_chunks_joined_are_the_whole(name: str) -> None:
    events = ANSWERS[name]
    scores = name in ("scores", "samples")
    made = whole(events, logprobs=scores)
    ChatCompletion.model_validate(made, strict=True)
    assert json.loads(json.dumps(made)) == made
    chunks = streamed(events)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert (chunk["id"], chunk["created"], chunk["model"]) == ("chatcmpl-7", 5, "m")
        assert chunk["system_fingerprint"] == "fp_1"
        assert "usage" not in chunk
    for choice in made["choices"]:
        own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert own[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
        text = "".join(each["delta"].get("content") or "" for each in own)
        assert text == (choice["message"]["content"] or "")
        assert [each["finish_reason"] for each in own][-1] == choice["finish_reason"]
        assert all(each["finish_reason"] is None for each in own[:-1])
        calls = [call for each in own for call in each["delta"].get("tool_calls", ())]
        assert [call.pop("index") for call in calls] == list(range(len(calls)))
        assert calls == choice["message"].get("tool_calls", [])
        found = [e for each in own for e in (each["logprobs"] or {"content": []})["content"]]
        assert found == (choice["logprobs"]["content"] if scores else [])


def test_the_whole_holds_what_it_took() -> None:
    made = whole(ANSWERS["text"])
    assert made["usage"] | {"prompt_tokens_details": 0, "completion_tokens_details": 0} == {
        "prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11,
        "prompt_tokens_details": 0, "completion_tokens_details": 0,
    }  # fmt: skip
    assert made["usage"]["prompt_tokens_details"]["cached_tokens"] == 2
    assert made["choices"][0]["logprobs"] is None
    assert (made["choices"][0]["message"]["content"], "receipt" in made) == ("ab", False)


def test_content_is_null_beside_calls_alone() -> None:
    alone = whole(ANSWERS["a call alone"])["choices"][0]
    assert (alone["message"]["content"], alone["finish_reason"]) == (None, "tool_calls")
    assert whole(ANSWERS["calls"])["choices"][0]["message"]["content"] == "Let me see."


def test_a_last_chunk_tells_what_it_took() -> None:
    chunks = streamed(ANSWERS["text"], include_usage=True)
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], chat.usage(OUTCOME))


def test_events_are_collected_by_sample() -> None:
    choices = Choices()
    for event in ANSWERS["samples"]:
        choices.hear(event)
    shown: list[Mapping[str, Any]] = [vars(choice) for choice in choices.made]
    assert [(each["index"], each["text"], each["reason"]) for each in shown] == [
        (0, "ab", "length"),
        (1, "x", "stop"),
    ]
