"""Answers in the words of the Ollama API, from any events in any pieces."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.modality.text.tools import ToolCall
from studiolo.server.ollama.answers import Head, empty, lines, whole
from studiolo.task.asking import (
    Called,
    Ended,
    Event,
    Outcome,
    Piece,
    Scored,
    Spelled,
    collect,
)
from tests.server.scripted import Said

OUTCOME = Outcome(7, 3, 5, 0.25, 1.0)


def head(*, chat: bool = True, load: float | None = 0.5) -> Head:
    return Head("m:latest", chat, time.perf_counter(), load)


def streamed(said: list[Event], outcome: Outcome = OUTCOME, **more: Any) -> list[dict[str, Any]]:
    async def read() -> list[bytes]:
        return [each async for each in lines(head(**more), Said(said, outcome))]

    made = asyncio.run(read())
    assert all(each.endswith(b"\n") and len(each.splitlines()) == 1 for each in made)
    return [json.loads(each) for each in made]


def called(place: int) -> Called:
    return Called(0, place, f"call_{place}", ToolCall("weather", {"city": "Zürich\u2028"}))


scored = st.builds(
    Scored, st.text(max_size=2), st.none(), st.just(-1.0), st.just((Spelled("x", b"x", -2.0),))
)
pieces = st.builds(Piece, st.just(0), st.text(max_size=3), st.tuples(scored) | st.just(()))


@given(st.lists(pieces), st.integers(0, 3), st.booleans())
def test_a_stream_says_what_the_whole_does(said: list[Piece], calls: int, long: bool) -> None:
    end = Ended(0, "tool_calls" if calls else "length" if long else "stop")
    events: list[Event] = [*said, *map(called, range(calls)), end]
    message = whole(head(), asyncio.run(collect(Said(events, OUTCOME))), OUTCOME)
    parts = streamed(events)
    assert "".join(each["message"]["content"] for each in parts) == message["message"]["content"]
    told = [call for each in parts for call in each["message"].get("tool_calls", [])]
    assert told == message["message"].get("tool_calls", [])
    scores = [score for each in parts for score in each.get("logprobs", [])]
    assert scores == message.get("logprobs", [])
    assert [each["done"] for each in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1]["done_reason"] == message["done_reason"]


def test_texts_and_messages() -> None:
    said: list[Event] = [Piece(0, "a"), Piece(0, "b"), Ended(0, "stop")]
    assert [each["response"] for each in streamed(said, chat=False)] == ["a", "b", ""]
    assert [each["message"] for each in streamed(said)] == [
        {"role": "assistant", "content": text} for text in ("a", "b", "")
    ]
    assert empty(head(chat=False), "load")["response"] == ""


def test_times_are_measured_or_not_there() -> None:
    last = streamed([Ended(0, "stop")])[-1]
    assert last["load_duration"] == 500_000_000
    assert last["prompt_eval_duration"] == 250_000_000
    assert last["eval_duration"] == 750_000_000
    assert last["total_duration"] > 0
    assert (last["prompt_eval_count"], last["eval_count"]) == (7, 5)
    bare = streamed([Ended(0, "stop")], Outcome(7, 0, 0, None, 1.0), load=None)[-1]
    assert not {"load_duration", "prompt_eval_duration", "eval_duration"} & set(bare)


@pytest.mark.parametrize(
    ("reason", "told"), [("stop", "stop"), ("length", "length"), ("tool_calls", "stop")]
)
def test_why_an_answer_ended(reason: Any, told: str) -> None:
    assert streamed([Ended(0, reason)])[-1]["done_reason"] == told
