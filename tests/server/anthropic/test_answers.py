"""Answers in the words of the Anthropic API, from any events in any pieces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from studiolo.modality.text.tools import ToolCall
from studiolo.server.anthropic.answers import Head, events, whole
from studiolo.task.asking import Called, Ended, Event, Outcome, Piece, collect
from tests.server.scripted import Said

HEAD = Head("msg_1", "m")
OUTCOME = Outcome(7, 3, 5, 0.1, 0.2)


def streamed(said: Sequence[Event]) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        return [each async for each in events(HEAD, Said(said, OUTCOME))]

    return asyncio.run(read())


def accumulated(told: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client makes of events."""
    message: dict[str, Any] = dict(told[0]["message"])
    content: list[dict[str, Any]] = []
    buffers: dict[int, str] = {}
    for each in told:
        if each["type"] == "content_block_start":
            assert each["index"] == len(content)
            content.append(dict(each["content_block"]))
        elif each["type"] == "content_block_delta":
            delta, block = each["delta"], content[each["index"]]
            if delta["type"] == "text_delta":
                block["text"] += delta["text"]
            else:
                buffers[each["index"]] = buffers.get(each["index"], "") + delta["partial_json"]
        elif each["type"] == "message_delta":
            message |= each["delta"]
            message["usage"] = each["usage"]
    for index, text in buffers.items():
        content[index]["input"] = json.loads(text)
    return {**message, "content": content}


def called(place: int) -> Called:
    return Called(0, place, f"call_{place}", ToolCall("weather", {"city": "Zürich"}))


pieces = st.builds(Piece, st.just(0), st.text(max_size=3))
ends = st.sampled_from([Ended(0, "stop"), Ended(0, "stop", "x"), Ended(0, "length")])


@given(st.lists(pieces), st.integers(0, 3), ends)
def test_a_stream_says_what_the_whole_does(said: list[Piece], calls: int, end: Ended) -> None:
    if calls:
        end = Ended(0, "tool_calls")
    told: list[Event] = [*said, *map(called, range(calls)), end]
    message = whole(HEAD, asyncio.run(collect(Said(told, OUTCOME))), OUTCOME)
    assert accumulated(streamed(told)) == message


@given(st.lists(st.one_of(pieces, st.builds(called, st.integers(0, 9)))))
def test_every_block_is_opened_once_and_closed_before_the_next(said: list[Event]) -> None:
    told = streamed([*said, Ended(0, "stop")])
    opened: list[int] = []
    current = None
    for each in told:
        if each["type"] == "content_block_start":
            assert current is None
            current = each["index"]
            opened.append(current)
        elif each["type"] == "content_block_delta":
            assert each["index"] == current
        elif each["type"] == "content_block_stop":
            assert each["index"] == current
            current = None
    assert current is None
    assert opened == list(range(len(opened)))


def test_what_was_known_is_told_apart_from_what_was_read() -> None:
    told = streamed([Piece(0, "a"), Ended(0, "stop")])
    assert told[0]["message"]["usage"]["input_tokens"] == 7
    usage = told[-2]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (4, 3)
    assert usage["output_tokens"] == 5


def test_an_empty_answer_has_no_block() -> None:
    assert [each["type"] for each in streamed([Piece(0, ""), Ended(0, "stop")])] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
