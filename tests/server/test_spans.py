"""What spans say, by the conventions for generative AI."""

from __future__ import annotations

import json
from typing import Any

from studiolo.modality.text.tools import ToolCall
from studiolo.server import spans
from studiolo.task.asking import Called, Choice, Outcome, TextAsk

CALL: Any = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SAID: list[Any] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "hé"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "1", "tool_call_id": "c1"},
]


def test_what_is_asked() -> None:
    options = {
        "temperature": 0.5, "top_k": 3, "max_tokens": 7, "seed": 1, "n": 2, "stop": "x",
        "json_schema": {}, "beams": 2,
    }  # fmt: skip
    assert spans.asked(TextAsk("m", messages=SAID, options=options)) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "studiolo",
        "gen_ai.request.model": "m",
        "gen_ai.output.type": "json",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_k": 3,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.request.seed": 1,
        "gen_ai.request.stop_sequences": ["x"],
        "gen_ai.request.choice.count": 2,
    }
    plain = spans.asked(TextAsk("m", prompt="x", options={"n": 1, "stop": ["a", "b"]}))
    assert plain["gen_ai.operation.name"] == "text_completion"
    assert plain["gen_ai.output.type"] == "text"
    assert plain["gen_ai.request.stop_sequences"] == ["a", "b"]
    assert "gen_ai.request.choice.count" not in plain


def test_what_is_answered() -> None:
    assert spans.answered("m", Outcome(7, 3, 2, 0.5, 1.0), ["stop"]) == {
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.response.time_to_first_chunk": 0.5,
    }
    assert "gen_ai.response.time_to_first_chunk" not in spans.answered(
        "m", Outcome(1, 0, 0, None, 1.0), []
    )


def test_contents() -> None:
    found = spans.contents_asked(TextAsk("m", messages=SAID, tools=[TOOL]))
    told = {name: json.loads(str(value)) for name, value in found.items()}
    assert told["gen_ai.system_instructions"] == [{"type": "text", "content": "be brief"}]
    assert told["gen_ai.input.messages"] == [
        {"role": "user", "parts": [{"type": "text", "content": "hé"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {"x": 1}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "1"}]},
    ]
    assert told["gen_ai.tool.definitions"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}}
    ]
    choice = Choice(0, "see", [Called(0, 0, "c1", ToolCall("f", {"x": 1}))], reason="tool_calls")
    (answer,) = json.loads(str(spans.contents_answered([choice])["gen_ai.output.messages"]))
    assert answer["finish_reason"] == "tool_call"
    assert [part["type"] for part in answer["parts"]] == ["text", "tool_call"]
    ids = spans.contents_asked(TextAsk("m", prompt=[1, 2]))["gen_ai.input.messages"]
    assert json.loads(str(ids))[0]["parts"] == [{"type": "text", "content": "1 2"}]
    several = spans.contents_asked(TextAsk("m", prompt="a", others=["b"]))
    (turn,) = json.loads(str(several["gen_ai.input.messages"]))
    assert [part["content"] for part in turn["parts"]] == ["a", "b"]
    begun = TextAsk("m", messages=SAID[:1], begun=(1,), begun_text="It")
    said = json.loads(str(spans.contents_asked(begun)["gen_ai.input.messages"]))
    assert said[-1] == {"role": "assistant", "parts": [{"type": "text", "content": "It"}]}
