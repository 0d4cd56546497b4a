"""What ``Converse`` asks, and its answers, from any events in any pieces."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tools import ToolCall
from studiolo.server.bedrock.converse import ConverseBody, ask, events, whole
from studiolo.task.asking import Called, Choice, Ended, Event, Piece, TextAsk, collect
from studiolo.task.openai.fields import parse
from tests.server.bedrock.asking import (
    OUTCOME,
    PLAIN,
    SAID,
    WEATHER,
    Said,
    gathered,
    unframed,
)


def body(**more: Any) -> ConverseBody:
    return parse(ConverseBody, {"messages": SAID, **more})


def test_every_field_is_read() -> None:
    schema = json.dumps({"type": "object"})
    form = {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema, "name": "x"}}}
    asked = ask(
        body(
            system=[{"text": "the cat"}],
            inferenceConfig={
                "maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["a"],
            },
            toolConfig={"tools": [WEATHER], "toolChoice": {"any": {}}},
            additionalModelRequestFields={"top_k": 3, "seed": 8},
            additionalModelResponseFieldPaths=["/stop_sequence"],
            requestMetadata={"team": "a"},
            performanceConfig={"latency": "standard"},
            serviceTier={"type": "default"},
            outputConfig={"textFormat": form},
        ),
        "tiny",
    )  # fmt: skip
    function = {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": WEATHER["toolSpec"]["inputSchema"]["json"],
    }
    assert asked == TextAsk(
        model="tiny",
        messages=[{"role": "system", "content": "the cat"}, *PLAIN],
        tools=({"type": "function", "function": function},),
        tool_choice="required",
        options={
            "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": ["a"], "top_k": 3,
            "seed": 8, "json_schema": schema,
        },
    )  # fmt: skip
    assert ask(body(), "tiny") == TextAsk(model="tiny", messages=PLAIN)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"inferenceConfig": {"maxTokens": 0}}, "inferenceConfig.maxTokens"),
        ({"inferenceConfig": {"temperature": 1.5}}, "inferenceConfig.temperature"),
        ({"inferenceConfig": {"topK": 5}}, "inferenceConfig.topK"),
        ({"inferenceConfig": {"stopSequences": [""]}}, "inferenceConfig.stopSequences.0"),
        ({"additionalModelRequestFields": {"n": 2}}, "additionalModelRequestFields.n"),
        (
            {
                "additionalModelRequestFields": {"temperature": 2.0},
                "inferenceConfig": {"temperature": 1.0},
            },
            "additionalModelRequestFields.temperature",
        ),
        ({"additionalModelResponseFieldPaths": ["/x"]}, "additionalModelResponseFieldPaths.0"),
        ({"guardrailConfig": {"guardrailIdentifier": "a"}}, "guardrailConfig"),
        ({"promptVariables": {"a": {"text": "b"}}}, "promptVariables"),
        ({"performanceConfig": {"latency": "optimized"}}, "performanceConfig.latency"),
        ({"serviceTier": {"type": "priority"}}, "serviceTier.type"),
        ({"outputConfig": {"effort": "high"}}, "outputConfig.effort"),
        ({"toolConfig": {"tools": []}}, "toolConfig.tools"),
        ({"requestMetadata": {"a": 1}}, "requestMetadata.a"),
        (
            {"messages": [*SAID, {"role": "assistant", "content": [{"text": "the "}]}]},
            "messages.1.content",
        ),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        ask(body(**more), "tiny")
    assert wrong.value.field == field


def named(schema: object) -> set[str]:
    """Every member that a body may have, and some values of them."""
    if isinstance(schema, list):
        return set().union(*map(named, schema))
    if not isinstance(schema, dict):
        return set()
    return {*schema.get("properties", {}), *schema.get("enum", ())}.union(
        *map(named, schema.values())
    )


NAMES = st.sampled_from(sorted({*named(ConverseBody.model_json_schema()), "image"}))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats(-1, 2) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES), st.lists(VALUES, max_size=3))
def test_any_body_is_asked_or_refused(more: dict[str, Any], content: list[Any]) -> None:
    messages = [{"role": "user", "content": content}, {"role": "user", "content": content}]
    try:
        asked = ask(parse(ConverseBody, {"messages": messages, **more}), "tiny")
    except InvalidRequestError:
        return
    assert asked.messages


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
JSON = st.dictionaries(TEXT, TEXT | st.integers(0, 9), max_size=2)
PIECES = st.lists(TEXT.map(lambda text: Piece(0, text)) | JSON, max_size=6)
ENDS = st.sampled_from([("stop", None), ("stop", "."), ("length", None)])


def sequence(parts: list[Any], end: tuple[Any, Any]) -> list[Event]:
    said: list[Event] = []
    calls = 0
    for part in parts:
        if isinstance(part, Piece):
            said.append(part)
        else:
            said.append(Called(0, calls, f"call_{calls}", ToolCall("weather", part)))
            calls += 1
    return [*said, Ended(0, "tool_calls") if calls else Ended(0, *end)]


@given(PIECES, ENDS)
def test_a_stream_says_what_the_whole_says(parts: list[Any], end: tuple[Any, Any]) -> None:
    said = sequence(parts, end)
    asked = body(additionalModelResponseFieldPaths=["/stop_sequence"])
    told = unframed(b"".join(gathered(events(asked, Said(said)))))
    expected = whole(asked, asyncio.run(collect(Said(said))), OUTCOME)
    assert told[0] == ("messageStart", {"role": "assistant"})
    assert [kind for kind, _ in told[-2:]] == ["messageStop", "metadata"]
    content = accumulated(told[1:-2])
    texts = "".join(block["text"] for block in content if "text" in block)
    uses = [block for block in content if "toolUse" in block]
    blocks = expected["output"]["message"]["content"]
    assert texts == "".join(block.get("text", "") for block in blocks)
    assert uses == [block for block in blocks if "toolUse" in block]
    assert {**told[-2][1], **told[-1][1]} == {
        name: value for name, value in expected.items() if name != "output"
    }


def accumulated(told: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """The blocks that a client makes of events, which come in AWS's order."""
    content: list[dict[str, Any]] = []
    stopped = 0
    for kind, value in told:
        index = value["contentBlockIndex"]
        if kind == "contentBlockStart":
            assert index == len(content) == stopped
            content.append({"toolUse": {**value["start"]["toolUse"], "input": ""}})
        elif kind == "contentBlockDelta" and "text" in value["delta"]:
            if index == len(content):
                assert stopped == index
                content.append({"text": ""})
            content[index]["text"] += value["delta"]["text"]
        elif kind == "contentBlockDelta":
            content[index]["toolUse"]["input"] += value["delta"]["toolUse"]["input"]
        else:
            assert (kind, index) == ("contentBlockStop", stopped)
            stopped += 1
    assert stopped == len(content)
    for block in content:
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return content


@pytest.mark.parametrize(
    ("choice", "reason", "stop"),
    [
        (Choice(0, "a", reason="stop"), "end_turn", None),
        (Choice(0, "a", reason="length"), "max_tokens", None),
        (Choice(0, "a", reason="stop", stop="b"), "stop_sequence", "b"),
    ],
)
def test_why_it_ended(choice: Choice, reason: str, stop: str | None) -> None:
    asked = body(additionalModelResponseFieldPaths=["/stop_sequence"])
    told = whole(asked, [choice], OUTCOME)
    assert told["stopReason"] == reason
    assert told["additionalModelResponseFields"] == {"stop_sequence": stop}
    assert told["usage"] == {
        "inputTokens": 4, "outputTokens": 5, "totalTokens": 12, "cacheReadInputTokens": 3,
        "cacheWriteInputTokens": 0,
    }  # fmt: skip
    assert told["metrics"] == {"latencyMs": 200}
    assert "additionalModelResponseFields" not in whole(body(), [choice], OUTCOME)
