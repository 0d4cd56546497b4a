"""Conversations of the Anthropic API become messages for a chat template."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

import studiolo
from studiolo.errors import InvalidRequestError
from studiolo.server.anthropic.bodies import MessageBody
from studiolo.server.anthropic.conversation import ask, conversation
from studiolo.task.asking import TextAsk
from studiolo.task.openai.fields import parse
from tests.server.anthropic.asking import SAID, WEATHER

USE = {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Rome"}}
RESULT = {"type": "tool_result", "tool_use_id": "a"}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def asked(**more: Any) -> TextAsk:
    return ask(parse(MessageBody, {"model": "m", "max_tokens": 9, "messages": SAID, **more}), "m")


def messages(*turns: Any, **more: Any) -> list[Any]:
    body = {"model": "m", "max_tokens": 9, "messages": turns, **more}
    return conversation(parse(MessageBody, body))


def test_the_system_and_blocks_are_read(
    client: anthropic.Anthropic, lm: studiolo.LanguageModel
) -> None:
    made = client.messages.create(
        model="tiny",
        max_tokens=9,
        system=[
            {"type": "text", "text": "the cat"},
            {"type": "text", "text": "sat", "cache_control": {"type": "ephemeral"}},
        ],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": [{"type": "text", "text": "wet"}]},
            {"role": "user", "content": "the mat"},
        ],
        extra_body={"seed": 4},
    )
    expected = lm.chat(
        [
            {"role": "system", "content": "the cat\nsat"},
            {"role": "user", "content": "a\nb"},
            {"role": "assistant", "content": "wet"},
            {"role": "user", "content": "the mat"},
        ],
        max_tokens=9,
        seed=4,
    )
    assert made.content[0].text == expected.text  # type: ignore[union-attr]


def test_what_one_speaker_says_is_one_message() -> None:
    assert messages(
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "user", "content": []},
        {"role": "assistant", "content": [text("c"), text("d")]},
        {"role": "assistant", "content": "e"},
        {"role": "system", "content": "f"},
        {"role": "user", "content": "g"},
    ) == [
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "cde"},
        {"role": "system", "content": "f"},
        {"role": "user", "content": "g"},
    ]


def test_calls_and_their_results_are_told_apart() -> None:
    other = {**USE, "id": "b"}
    failed = {"type": "tool_result", "tool_use_id": "b", "content": [text("no"), text("city")]}
    made = messages(
        *SAID,
        {"role": "assistant", "content": [text("so"), USE, other]},
        {"role": "user", "content": [RESULT, {**failed, "is_error": True}, text("and?")]},
    )
    function = {"name": "weather", "arguments": {"city": "Rome"}}
    calls = [{"id": id, "type": "function", "function": function} for id in "ab"]
    assert made[1:] == [
        {"role": "assistant", "content": "so", "tool_calls": calls},
        {"role": "tool", "content": "", "name": "weather", "tool_call_id": "a"},
        {"role": "tool", "content": "Error: no\ncity", "name": "weather", "tool_call_id": "b"},
        {"role": "user", "content": "and?"},
    ]


@pytest.mark.parametrize(
    ("turns", "field"),
    [
        ([{"role": "user", "content": [RESULT]}], "messages.0.content.0.tool_use_id"),
        ([*SAID, {"role": "assistant", "content": [USE]}], "messages"),
        (
            [
                {"role": "assistant", "content": [USE]},
                *SAID,
                {"role": "assistant", "content": "x"},
            ],
            "messages.2",
        ),
    ],
)
def test_a_call_and_its_result_belong_together(turns: list[Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        messages(*turns)
    assert wrong.value.field == field


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ("auto", True)),
        ({"type": "auto", "disable_parallel_tool_use": True}, ("auto", False)),
        ({"type": "any"}, ("required", True)),
        ({"type": "tool", "name": "weather"}, ("weather", True)),
        ({"type": "none"}, ("none", True)),
    ],
)
def test_choices_in_our_words(choice: Any, expected: tuple[str, bool]) -> None:
    made = asked(tools=[{**WEATHER, "strict": True}], tool_choice=choice)
    assert (made.tool_choice, made.parallel) == expected
    (tool,) = made.tools
    assert tool == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": WEATHER["input_schema"],
            "strict": True,
        },
    }


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"messages": [*SAID, {"role": "assistant", "content": "x "}]}, "messages.1.content"),
    ],
)
def test_what_cannot_be_done_is_refused(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        asked(**more)
    assert wrong.value.field == field


def test_options_in_our_words() -> None:
    schema = {"type": "json_schema", "schema": {"type": "integer"}}
    made = asked(
        temperature=0.5,
        top_p=0.5,
        top_k=3,
        stop_sequences=["x"],
        seed=1,
        ignore_eos=True,
        output_config={"format": schema},
    )
    assert made.options == {
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 3,
        "stop": ["x"],
        "seed": 1,
        "ignore_eos": True,
        "json_schema": {"type": "integer"},
    }


def test_a_schema_that_is_none_is_named_as_the_client_wrote_it(
    client: anthropic.Anthropic,
) -> None:
    bad: Any = {"format": {"type": "json_schema", "schema": {"type": "banana"}}}
    with pytest.raises(anthropic.BadRequestError, match=r"output_config\.format\.schema: "):
        client.messages.create(model="tiny", max_tokens=9, messages=SAID, output_config=bad)
