"""A response as it is written: its events agree with each other, and with the whole."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from studiolo.errors import BusyError, ContextOverflowError, StudioloError
from studiolo.modality.text.tools import ToolCall
from studiolo.task.asking import Called, Ended, Event, Outcome, Piece, Reason, Scored, Spelled
from studiolo.task.openai.fields import Head, parse
from studiolo.task.openai.responses import ResponseBody
from studiolo.task.openai.responses_events import Writer

HEAD = Head("abc", 5, "tiny")
PLAIN = parse(ResponseBody, b'{"input": "x"}')
SCORED = parse(ResponseBody, b'{"input": "x", "include": ["message.output_text.logprobs"]}')
OUTCOME = Outcome(7, 3, 2, 0.1, 0.2)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def scored(text: str) -> Scored:
    return Scored(text, text.encode(), -1.0, (Spelled(text, text.encode(), -1.0),))


def written(
    events: list[Event], body: ResponseBody = SCORED
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All events, as they were when they came, and the response in the end."""
    writer = Writer(body, HEAD, stored=False)
    found: list[dict[str, Any]] = []
    for each in writer.begin("fp_1"):
        found.append(copy.deepcopy(each))
    for event in events:
        for each in writer.hear(event):
            found.append(copy.deepcopy(each))
    writer.finish(OUTCOME)
    found.append(copy.deepcopy(writer.end()))
    for number, each in enumerate(found):
        assert each["sequence_number"] == number
        EVENT.validate_python(each, strict=True)
    return found, writer.response


def names(found: list[dict[str, Any]]) -> list[str]:
    return [each["type"].removeprefix("response.") for each in found]


def test_a_text() -> None:
    found, response = written(
        [Piece(0, "", (scored("a"),)), Piece(0, "ab", (scored("b"),)), Piece(0, "c"),
         Ended(0, "stop")]
    )  # fmt: skip
    assert names(found) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert found[0]["response"]["status"] == "in_progress"
    assert found[2]["item"] == {
        "id": "msg_abc_0", "type": "message", "role": "assistant", "status": "in_progress",
        "content": [],
    }  # fmt: skip
    assert [each["token"] for each in found[4]["logprobs"]] == ["a", "b"]
    assert found[-1]["response"] == response
    read = Response.model_validate(response)
    assert (read.output_text, read.status) == ("abc", "completed")
    assert read.usage is not None
    assert (read.usage.input_tokens, read.usage.output_tokens) == (7, 2)
    assert read.usage.input_tokens_details.cached_tokens == 3
    assert len(response["output"][0]["content"][0]["logprobs"]) == 2


def test_scores_that_nobody_asked_for_are_not_shown() -> None:
    _, response = written([Piece(0, "a", (scored("a"),)), Ended(0, "stop")], PLAIN)
    assert response["output"][0]["content"][0]["logprobs"] == []


def test_calls() -> None:
    found, response = written(
        [
            Piece(0, "Well, "),
            Piece(0, "", (scored("{"),)),
            Called(0, 0, "call_1", ToolCall("weather", {"city": "Rôme"})),
            Called(0, 1, "call_2", ToolCall("time", {})),
            Ended(0, "tool_calls"),
        ]
    )
    assert names(found)[4:12] == [
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.done",
    ]  # fmt: skip
    assert [each["type"] for each in response["output"]] == [
        "message", "function_call", "function_call",
    ]  # fmt: skip
    assert response["output"][1] == {
        "id": "fc_abc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
        "name": "weather", "arguments": '{"city": "Rôme"}',
    }  # fmt: skip
    assert response["output"][0]["content"][0]["logprobs"] == []


def test_what_is_cut_short_is_incomplete() -> None:
    found, response = written([Piece(0, "a"), Ended(0, "length")])
    assert found[-1]["type"] == "response.incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"


def test_an_empty_answer_is_an_empty_message() -> None:
    found, response = written([Piece(0, "", (scored("a"),)), Ended(0, "stop")])
    assert Response.model_validate(response).output_text == ""
    assert [each["token"] for each in found[4]["logprobs"]] == ["a"]
    _, response = written([Ended(0, "stop")])
    assert len(response["output"]) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ZeroDivisionError("secret"), "server_error"),
        (StudioloError("broken"), "server_error"),
        (BusyError("full"), "rate_limit_exceeded"),
        (ContextOverflowError(5, 5, 8), "invalid_prompt"),
    ],
)
def test_a_failure_is_the_last_event(error: Exception, code: str) -> None:
    writer = Writer(PLAIN, HEAD, stored=False)
    for each in (*writer.begin("fp"), *writer.hear(Piece(0, "a"))):
        EVENT.validate_python(each)
    last = writer.fail(error)
    EVENT.validate_python(last, strict=True)
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == code
    assert "secret" not in str(last)


ANY: st.SearchStrategy[Event] = st.one_of(
    st.builds(lambda t, n: Piece(0, t, (scored(t),) * n), st.text(max_size=3), st.integers(0, 2)),
    st.builds(lambda i: Called(0, i, f"call_{i}", ToolCall("f", {"i": i})), st.integers(0, 9)),
)


@given(st.lists(ANY, max_size=8), st.sampled_from(["stop", "length", "tool_calls"]))
def test_the_events_put_together_are_the_whole(events: list[Event], reason: Reason) -> None:
    found, response = written([*events, Ended(0, reason)])
    items: list[dict[str, Any]] = []
    for each in found:
        match each["type"].removeprefix("response."):
            case "output_item.added":
                assert each["output_index"] == len(items)
                items.append(each["item"])
            case "content_part.added":
                items[each["output_index"]]["content"].append(each["part"])
            case "output_text.delta":
                part = items[each["output_index"]]["content"][each["content_index"]]
                part["text"] += each["delta"]
                part["logprobs"] += each["logprobs"]
            case "function_call_arguments.delta":
                items[each["output_index"]]["arguments"] += each["delta"]
            case "output_item.done":
                items[each["output_index"]]["status"] = each["item"]["status"]
                assert items[each["output_index"]] == each["item"]
    assert items == response["output"]
    shown = "".join(each.text for each in events if isinstance(each, Piece))
    assert Response.model_validate(response).output_text == shown
