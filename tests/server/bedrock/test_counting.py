"""``CountTokens`` by boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest

import studiolo
from tests.server.bedrock.asking import PLAIN, SAID, WEATHER
from tests.server.bedrock.test_invocations import BODIES
from tests.server.serving import Served


@pytest.mark.parametrize("tools", [{}, {"toolConfig": {"tools": [WEATHER]}}])
def test_a_conversation_is_counted_as_it_is_read(runtime: Any, tools: dict[str, Any]) -> None:
    asked = {"messages": SAID, "system": [{"text": "the cat"}], **tools}
    counted = runtime.count_tokens(modelId="tiny", input={"converse": asked})["inputTokens"]
    made = runtime.converse(modelId="tiny", **asked, inferenceConfig={"maxTokens": 1})
    assert counted == made["usage"]["totalTokens"] - 1


@pytest.mark.parametrize("name", BODIES)
def test_a_native_body_is_counted_as_it_is_read(
    runtime: Any, lm: studiolo.LanguageModel, name: str
) -> None:
    body, _, _, chatting = BODIES[name]
    asked = {"invokeModel": {"body": json.dumps(body)}}
    counted = runtime.count_tokens(modelId="tiny", input=asked)["inputTokens"]
    ids = lm.encode_chat(PLAIN) if chatting else lm.tokenizer.encode("the rain")
    assert counted == len(ids)


def test_a_long_conversation_is_counted(runtime: Any) -> None:
    long = [{"role": "user", "content": [{"text": "the cat " * 5000}]}]
    counted = runtime.count_tokens(modelId="tiny", input={"converse": {"messages": long}})
    assert counted["inputTokens"] > 4096


def test_what_is_wrong_is_named(runtime: Any, served: Served) -> None:
    invalid = runtime.exceptions.ValidationException
    with pytest.raises(invalid, match="modelId: tiny-encoder makes vectors"):
        runtime.count_tokens(modelId="tiny-encoder", input={"converse": {"messages": SAID}})
    with pytest.raises(runtime.exceptions.ResourceNotFoundException):
        runtime.count_tokens(modelId="nobody", input={"converse": {"messages": SAID}})
    with pytest.raises(invalid, match="body: is of no kind"):
        runtime.count_tokens(modelId="tiny", input={"invokeModel": {"body": b"{}"}})
    address = "/model/tiny/count-tokens"
    for body, field in (
        ({}, "input"),
        ({"input": {}}, "input"),
        ({"input": {"invokeModel": {"body": "*"}}}, "input.invokeModel.body"),
        ({"input": {"converse": {"messages": []}}}, "input.converse.messages"),
    ):
        answer = served.http().post(address, json=body)
        assert answer.status_code == 400
        assert answer.json()["message"].startswith(f"{field}: ")
