"""``InvokeModel`` and ``InvokeModelWithResponseStream`` by boto3, with every native body."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import studiolo
from tests.server.bedrock.asking import PLAIN, told_by
from tests.server.serving import Served

METRICS = "amazon-bedrock-invocationMetrics"
TEXT = "the rain"
ANTHROPIC = "bedrock-2023-05-31"
Body = dict[str, Any]
BODIES: dict[str, tuple[Body, Callable[[Any], str], Callable[[Any], str], bool]] = {
    "llama": (
        {"prompt": TEXT, "max_gen_len": 20, "temperature": 0.5, "top_p": 0.9, "seed": 8},
        lambda whole: whole["generation"],
        lambda chunk: chunk["generation"],
        False,
    ),
    "mistral": (
        {"prompt": TEXT, "max_tokens": 20, "temperature": 0.5, "top_p": 0.9, "seed": 8},
        lambda whole: whole["outputs"][0]["text"],
        lambda chunk: chunk["outputs"][0]["text"],
        False,
    ),
    "titan": (
        {
            "inputText": TEXT,
            "textGenerationConfig": {"maxTokenCount": 20, "temperature": 0.5, "topP": 0.9},
            "seed": 8,
        },
        lambda whole: whole["results"][0]["outputText"],
        lambda chunk: chunk["outputText"],
        True,
    ),
    "anthropic": (
        {
            "anthropic_version": ANTHROPIC, "messages": PLAIN, "max_tokens": 20,
            "temperature": 0.5, "top_p": 0.9, "seed": 8,
        },
        lambda whole: whole["content"][0]["text"],
        lambda chunk: chunk.get("delta", {}).get("text", ""),
        True,
    ),
    "openai": (
        {"messages": PLAIN, "max_tokens": 20, "temperature": 0.5, "top_p": 0.9, "seed": 8},
        lambda whole: whole["choices"][0]["message"]["content"],
        lambda chunk: chunk["choices"][0]["delta"].get("content", ""),
        True,
    ),
}  # fmt: skip


def invoke(runtime: Any, body: Any, **more: Any) -> tuple[Any, dict[str, str]]:
    made = runtime.invoke_model(**{"modelId": "tiny", "body": json.dumps(body), **more})
    assert made["contentType"] == "application/json"
    return json.loads(made["body"].read()), made["ResponseMetadata"]["HTTPHeaders"]


def chunks(runtime: Any, body: Any) -> list[Any]:
    made = runtime.invoke_model_with_response_stream(
        modelId="tiny", body=json.dumps(body), accept="application/json"
    )
    assert made["contentType"] == "application/json"
    return [json.loads(each["chunk"]["bytes"]) for each in told_by(made["body"])]


@pytest.mark.parametrize("name", BODIES)
def test_every_body_is_answered(
    runtime: Any, served: Served, lm: studiolo.LanguageModel, name: str
) -> None:
    body, text, piece, chatting = BODIES[name]
    options: Any = {"max_tokens": 20, "temperature": 0.5, "top_p": 0.9, "seed": 8}
    expected = lm.chat(PLAIN, **options) if chatting else lm.generate(TEXT, **options)
    whole, headers = invoke(runtime, body, accept="application/json")
    assert text(whole) == expected.text
    usage = expected.usage
    read = sum(
        int(headers[f"x-amzn-bedrock-{part}input-token-count"]) for part in ("", "cache-read-")
    )
    assert read == usage.prompt_tokens
    assert int(headers["x-amzn-bedrock-output-token-count"]) == usage.completion_tokens
    assert int(headers["x-amzn-bedrock-invocation-latency"]) >= 0
    row = served.entry(headers["x-amzn-requestid"])
    assert (row.prompt_tokens, row.completion_tokens) == (
        usage.prompt_tokens, usage.completion_tokens,
    )  # fmt: skip

    told = chunks(runtime, body)
    assert len(told) > 2
    assert "".join(map(piece, told)) == expected.text
    assert [METRICS in chunk for chunk in told] == [False] * (len(told) - 1) + [True]
    metrics = told[-1][METRICS]
    assert metrics["inputTokenCount"] + metrics["cacheReadInputTokenCount"] == usage.prompt_tokens
    assert metrics["outputTokenCount"] == usage.completion_tokens
    assert 0 <= metrics["firstByteLatency"] <= metrics["invocationLatency"]


def test_a_vector(runtime: Any, tiny_encoder: str) -> None:
    told, headers = invoke(runtime, {"inputText": "a cat"}, modelId="tiny-encoder")
    expected = studiolo.load_encoder(tiny_encoder, device="cpu").embed("a cat")[0]
    assert told["embedding"] == pytest.approx((expected / expected.norm()).tolist(), abs=1e-6)
    assert int(headers["x-amzn-bedrock-input-token-count"]) == told["inputTextTokenCount"] == 7
    body = json.dumps({"inputText": "a cat"})
    with pytest.raises(runtime.exceptions.ValidationException, match="makes vectors, not texts"):
        runtime.invoke_model_with_response_stream(modelId="tiny-encoder", body=body)
    with pytest.raises(runtime.exceptions.ValidationException, match="modelId: tiny-encoder makes"):
        invoke(runtime, BODIES["llama"][0], modelId="tiny-encoder")


WEATHER: Any = {
    "name": "weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def test_a_tool_is_called(runtime: Any) -> None:
    body = {
        **BODIES["anthropic"][0], "max_tokens": 300, "tools": [WEATHER],
        "tool_choice": {"type": "tool", "name": "weather"},
    }  # fmt: skip
    whole, _ = invoke(runtime, body)
    assert whole["stop_reason"] == "tool_use"
    (use,) = whole["content"]
    assert use["input"]["city"] in ("Paris", "Rome")
    told = chunks(runtime, body)
    pieces = [chunk["delta"] for chunk in told if chunk["type"] == "content_block_delta"]
    assert json.loads("".join(piece["partial_json"] for piece in pieces)) == use["input"]


def test_an_answer_that_is_begun_goes_on(runtime: Any, lm: studiolo.LanguageModel) -> None:
    begun = {"role": "assistant", "content": "the str"}
    whole, _ = invoke(runtime, {**BODIES["anthropic"][0], "messages": [*PLAIN, begun]})
    ids = lm.encode_chat(PLAIN) + lm.tokenizer.encode("the str", add_special=False)
    expected = lm.generate(ids, max_tokens=20, temperature=0.5, top_p=0.9, seed=8)
    assert whole["content"][0]["text"] == expected.text


def test_chat_completions_may_say_what_the_address_says(runtime: Any) -> None:
    body = BODIES["openai"][0]
    assert invoke(runtime, {**body, "stream": False, "model": "tiny"})[0]["choices"]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    assert chunks(runtime, {**body, **options})[-1]["usage"]["completion_tokens"] > 0
    for streamed, call in ((True, invoke), (False, chunks)):
        with pytest.raises(runtime.exceptions.ValidationException, match="stream: "):
            call(runtime, {**body, "stream": streamed})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": "a"}, "body"),
        ({"texts": ["a"]}, "body"),
        ([], "body"),
        ({**BODIES["llama"][0], "max_gen_len": 9999}, "max_gen_len"),
        ({**BODIES["mistral"][0], "max_tokens": 9999}, "max_tokens"),
        (
            {"inputText": "a", "textGenerationConfig": {"maxTokenCount": 9999}},
            "textGenerationConfig.maxTokenCount",
        ),
        ({**BODIES["anthropic"][0], "max_tokens": 9999}, "max_tokens"),
        ({**BODIES["openai"][0], "max_tokens": 9999}, "max_tokens"),
        ({**BODIES["llama"][0], "other": 1}, "other"),
    ],
)
@pytest.mark.parametrize("call", [invoke, chunks])
def test_what_is_wrong_is_named(
    runtime: Any, call: Callable[..., Any], body: Any, field: str
) -> None:
    with pytest.raises(runtime.exceptions.ValidationException) as wrong:
        call(runtime, body)
    assert wrong.value.response["Error"]["Message"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("header", "value", "name"),
    [
        ("trace", "ENABLED", "trace"),
        ("guardrailIdentifier", "abc", "guardrailidentifier"),
        ("performanceConfigLatency", "optimized", "performanceconfig-latency"),
        ("serviceTier", "priority", "service-tier"),
    ],
)
def test_settings_that_are_not_here(runtime: Any, header: str, value: str, name: str) -> None:
    with pytest.raises(runtime.exceptions.ValidationException, match=f"x-amzn-bedrock-{name}: "):
        invoke(runtime, BODIES["llama"][0], **{header: value})
    plain = {"trace": "DISABLED", "performanceConfigLatency": "standard", "serviceTier": "default"}
    assert invoke(runtime, BODIES["llama"][0], **plain)
