"""The Messages API: what is asked in its words, and the events of the documented stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError, UpstreamError
from studiolo.modality.text.tools import ToolCall
from studiolo.task.asking import Called, Ended, Event, Piece, TextAsk
from studiolo.task.remote.anthropic import AnthropicReader, AnthropicWire
from studiolo.task.remote.settings import Remote
from studiolo.task.remote.sse import EventReader, ServerEvent
from studiolo.task.remote.wire import Tally, TroubleError

WIRE = AnthropicWire()
SAID: Any = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL: Any = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
}
REMOTE = Remote(dialect="anthropic", url="http://x/v1", model="theirs")
DOCUMENTED = """\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":472,"cache_read_input_tokens":10,"cache_creation_input_tokens":5,"output_tokens":2}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"!"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"location\\": \\"San"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" Francisco\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"""  # noqa: E501  # as it is sent


def body(options: dict[str, Any], **ask: Any) -> dict[str, Any]:
    path, made = WIRE.request(
        TextAsk("ours", **{"messages": SAID, "options": options, **ask}), REMOTE
    )
    assert path == "/messages"
    return made


def hear(*sent: dict[str, Any]) -> tuple[list[Event], AnthropicReader]:
    reader = AnthropicReader()
    events = [e for each in sent for e in reader.read(ServerEvent("", json.dumps(each)))]
    return events, reader


def ending(reason: str, **delta: Any) -> list[dict[str, Any]]:
    return [
        {"type": "message_delta", "delta": {"stop_reason": reason, **delta}, "usage": {}},
        {"type": "message_stop"},
    ]


def text(said: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "delta": {"type": "text_delta", "text": said}}


def test_a_conversation() -> None:
    assert WIRE.headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    assert body({}) == {
        "model": "theirs",
        "max_tokens": 4096,
        "system": "be brief",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "stream": True,
    }
    made = body({"max_tokens": 3, "temperature": 0.5, "top_k": 2, "top_p": 0.9, "stop": "x"})
    wanted = {
        "max_tokens": 3,
        "temperature": 0.5,
        "top_k": 2,
        "top_p": 0.9,
        "stop_sequences": ["x"],
    }
    assert {name: made[name] for name in wanted} == wanted
    made = body({"json_schema": SCHEMA, "presence_penalty": 0.0, "n": 1})
    assert made["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}


def test_tools() -> None:
    made = body({}, tools=[TOOL, {"type": "function", "function": {"name": "g"}}])
    assert made["tools"] == [
        {"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert made["tool_choice"] == {"type": "auto"}
    choices = {
        "none": {"type": "none"},
        "required": {"type": "any", "disable_parallel_tool_use": True},
        "f": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    }
    for choice, wanted in choices.items():
        made = body({}, tools=[TOOL], tool_choice=choice, parallel=False)
        assert made["tool_choice"] == wanted


@pytest.mark.parametrize(
    ("field", "options", "ask"),
    [
        ("seed", {"seed": 1}, {}),
        ("n", {"n": 2}, {}),
        ("log_probs", {"log_probs": 0}, {}),
        ("logit_bias", {"logit_bias": {1: 1.0}}, {}),
        ("regex", {"regex": "a"}, {}),
        ("json_schema", {"json_schema": True}, {}),
        ("prompt", {}, {"messages": None, "prompt": "x"}),
        ("begun", {}, {"begun": (1,)}),
    ],
)
def test_what_it_has_no_words_for_is_refused_by_name(
    field: str, options: dict[str, Any], ask: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        body(options, **ask)
    assert caught.value.field == field


def test_the_documented_stream() -> None:
    reader, events = AnthropicReader(), []
    for sent in EventReader().push(DOCUMENTED.encode()):
        events += reader.read(sent)
    assert events == [
        Piece(0, "Okay"),
        Piece(0, "!"),
        Called(0, 0, "toolu_1", ToolCall("get_weather", {"location": "San Francisco"})),
        Ended(0, "tool_calls"),
    ]
    assert reader.complete
    assert reader.tally == Tally(prompt=487, cached=10, completion=89)


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        ("end_turn", Ended(0, "stop")),
        ("max_tokens", Ended(0, "length")),
        ("model_context_window_exceeded", Ended(0, "length")),
    ],
)
def test_reasons(reason: str, ended: Ended) -> None:
    assert hear(text("x"), *ending(reason))[0] == [Piece(0, "x"), ended]


def test_a_stop_string_is_told() -> None:
    events, _ = hear(*ending("stop_sequence", stop_sequence="END"))
    assert events == [Ended(0, "stop", "END")]


def test_thinking_and_unknown_events_are_passed_over() -> None:
    events, _ = hear(
        {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_stop"},
        {"type": "something_new", "delta": {"text": "?"}},
        *ending("end_turn"),
    )
    assert events == [Ended(0, "stop")]


def test_a_call_that_is_cut_is_shown_as_text() -> None:
    begun: list[dict[str, Any]] = [
        {
            "type": "content_block_start",
            "content_block": {"type": "tool_use", "id": "1", "name": "f"},
        },
        {
            "type": "content_block_delta",
            "delta": {"type": "input_json_delta", "partial_json": '{"x'},
        },
        {"type": "content_block_stop"},
    ]
    assert hear(*begun, *ending("max_tokens"))[0] == [Piece(0, '{"x'), Ended(0, "length")]
    with pytest.raises(UpstreamError, match="no JSON object"):
        hear(*begun, *ending("tool_use"))


def test_what_cannot_be_used_is_an_error() -> None:
    with pytest.raises(UpstreamError, match=r"withheld the rest of its answer \('refusal'\)"):
        hear(*ending("refusal"))
    with pytest.raises(UpstreamError, match="without a reason"):
        hear({"type": "message_stop"})
    with pytest.raises(UpstreamError, match="cannot be read: type"):
        hear({})
    with pytest.raises(TroubleError) as caught:
        hear({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert (caught.value.kind, caught.value.message) == ("overloaded_error", "Overloaded")
    assert not hear(text("x"))[1].complete
