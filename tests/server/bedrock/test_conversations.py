"""``Converse`` and ``ConverseStream``, asked by boto3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import studiolo
from tests.server.bedrock.asking import PLAIN, SAID, WEATHER, aws, seeded, told_by
from tests.server.bedrock.tls import CERTIFICATE, encrypted
from tests.server.serving import Served, serving

REASONS = {"length": "max_tokens", "stop": "end_turn"}


def text_of(made: dict[str, Any]) -> str:
    (block,) = made["output"]["message"]["content"]
    return str(block["text"])


def test_a_conversation_is_answered(
    runtime: Any, served: Served, lm: studiolo.LanguageModel
) -> None:
    asked = seeded(8, top_k=40)
    asked["inferenceConfig"] |= {"temperature": 0.7, "topP": 0.9}
    made = runtime.converse(**asked, system=[{"text": "the cat"}], requestMetadata={"team": "a"})
    said = [{"role": "system", "content": "the cat"}, *PLAIN]
    expected = lm.chat(said, max_tokens=9, seed=8, temperature=0.7, top_p=0.9, top_k=40)
    assert text_of(made) == expected.text
    assert made["output"]["message"]["role"] == "assistant"
    assert made["stopReason"] == REASONS[expected.finish_reason]
    usage = made["usage"]
    assert usage["inputTokens"] + usage["cacheReadInputTokens"] == expected.usage.prompt_tokens
    assert usage["outputTokens"] == expected.usage.completion_tokens
    assert usage["totalTokens"] == (expected.usage.prompt_tokens + expected.usage.completion_tokens)
    assert made["metrics"]["latencyMs"] >= 0
    row = served.entry(made["ResponseMetadata"]["RequestId"])
    assert (row.dialect, row.model, row.status) == ("bedrock", "tiny", 200)
    assert (row.prompt_tokens, row.completion_tokens) == (
        expected.usage.prompt_tokens, expected.usage.completion_tokens,
    )  # fmt: skip


@pytest.mark.parametrize("region", ["us-east-1", "local"])
def test_a_model_is_named_by_an_arn(runtime: Any, lm: studiolo.LanguageModel, region: str) -> None:
    arn = f"arn:aws:bedrock:{region}::foundation-model/tiny"
    made = runtime.converse(**{**seeded(4), "modelId": arn})
    assert text_of(made) == lm.chat(PLAIN, max_tokens=9, seed=4).text


def test_a_stream_is_the_same_in_pieces(runtime: Any) -> None:
    asked = seeded(5, tokens=30)
    whole = runtime.converse(**asked)
    events = told_by(runtime.converse_stream(**asked)["stream"])
    kinds = [next(iter(each)) for each in events]
    assert kinds[0] == "messageStart"
    assert kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    assert set(kinds[1:-3]) == {"contentBlockDelta"}
    pieces = [each["contentBlockDelta"]["delta"]["text"] for each in events[1:-3]]
    assert len(pieces) > 1
    assert "".join(pieces) == text_of(whole)
    assert events[-2]["messageStop"]["stopReason"] == whole["stopReason"]
    usage, before = events[-1]["metadata"]["usage"], whole["usage"]
    for name in ("outputTokens", "totalTokens"):
        assert usage[name] == before[name]


def test_a_stop_sequence_is_named(runtime: Any, lm: studiolo.LanguageModel) -> None:
    stop = lm.chat(PLAIN, max_tokens=40, seed=3).text[3:5]
    asked = seeded(3, tokens=40)
    asked["inferenceConfig"]["stopSequences"] = ["never this", stop]
    asked["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    made = runtime.converse(**asked)
    assert made["stopReason"] == "stop_sequence"
    assert made["additionalModelResponseFields"] == {"stop_sequence": stop}
    assert text_of(made) == lm.chat(PLAIN, max_tokens=40, seed=3, stop=stop).text
    end = told_by(runtime.converse_stream(**asked)["stream"])[-2]["messageStop"]
    assert end == {
        "stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": stop},
    }  # fmt: skip


def streamed_use(events: list[dict[str, Any]]) -> dict[str, Any]:
    (start,) = [each["contentBlockStart"] for each in events if "contentBlockStart" in each]
    deltas = [each["contentBlockDelta"]["delta"] for each in events if "contentBlockDelta" in each]
    given = json.loads("".join(delta["toolUse"]["input"] for delta in deltas))
    return {**start["start"]["toolUse"], "input": given}


def test_a_loop_of_tools(runtime: Any, lm: studiolo.LanguageModel) -> None:
    tools = {"tools": [WEATHER], "toolChoice": {"tool": {"name": "weather"}}}
    made = runtime.converse(**seeded(2, tokens=300), toolConfig=tools)
    assert made["stopReason"] == "tool_use"
    message = made["output"]["message"]
    (use,) = [block["toolUse"] for block in message["content"]]
    assert use["name"] == "weather"
    assert use["input"]["city"] in ("Paris", "Rome")
    events = told_by(runtime.converse_stream(**seeded(2, tokens=300), toolConfig=tools)["stream"])
    assert streamed_use(events) == use

    result = {"toolUseId": use["toolUseId"], "content": [{"json": {"wet": True}}]}
    turns = [*SAID, message, {"role": "user", "content": [{"toolResult": result}]}]
    told = runtime.converse(**{**seeded(6), "messages": turns}, toolConfig={"tools": [WEATHER]})
    function = {"name": "weather", "arguments": use["input"]}
    call = {"id": use["toolUseId"], "type": "function", "function": function}
    wet = {
        "role": "tool", "content": '{"wet": true}', "name": "weather",
        "tool_call_id": use["toolUseId"],
    }  # fmt: skip
    spec = WEATHER["toolSpec"]
    offered = {
        "name": "weather", "description": spec["description"],
        "parameters": spec["inputSchema"]["json"],
    }  # fmt: skip
    said = [*PLAIN, {"role": "assistant", "content": None, "tool_calls": [call]}, wet]
    expected = lm.chat(
        said, max_tokens=9, seed=6, tools=[{"type": "function", "function": offered}]
    )
    assert text_of(told) == expected.text


def test_any_tool(runtime: Any) -> None:
    tools = {"tools": [WEATHER, {"cachePoint": {"type": "default"}}], "toolChoice": {"any": {}}}
    made = runtime.converse(**seeded(2, tokens=200), toolConfig=tools)
    assert made["stopReason"] == "tool_use"


def test_structured_output(runtime: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"wet": {"type": "boolean"}},
        "required": ["wet"],
        "additionalProperties": False,
    }
    structure = {"jsonSchema": {"schema": json.dumps(schema), "name": "weather"}}
    form = {"textFormat": {"type": "json_schema", "structure": structure}}
    made = runtime.converse(**seeded(1, tokens=100), outputConfig=form)
    assert list(json.loads(text_of(made))) == ["wet"]
    own = runtime.converse(**seeded(1, tokens=100, json_schema=schema))
    assert text_of(own) == text_of(made)


def test_an_answer_that_is_begun_goes_on(runtime: Any, lm: studiolo.LanguageModel) -> None:
    begun = {"role": "assistant", "content": [{"text": "the str"}]}
    made = runtime.converse(**{**seeded(7), "messages": [*SAID, begun]})
    ids = lm.encode_chat(PLAIN) + lm.tokenizer.encode("the str", add_special=False)
    assert text_of(made) == lm.generate(ids, max_tokens=9, seed=7).text
    assert made["usage"]["totalTokens"] - made["usage"]["outputTokens"] == len(ids)


def test_the_end_token_is_ignored(runtime: Any) -> None:
    made = runtime.converse(**seeded(1, tokens=60, ignore_eos=True))
    assert (made["stopReason"], made["usage"]["outputTokens"]) == ("max_tokens", 60)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"guardrailConfig": {}}, "guardrailConfig"),
        ({"performanceConfig": {"latency": "optimized"}}, "performanceConfig.latency"),
        ({"inferenceConfig": {"temperature": 2.0}}, "inferenceConfig.temperature"),
        ({"inferenceConfig": {"maxTokens": 10**9}}, "inferenceConfig.maxTokens"),
        ({"additionalModelRequestFields": {"n": 2}}, "additionalModelRequestFields.n"),
        (
            {"toolConfig": {"tools": [WEATHER], "toolChoice": {"tool": {"name": "other"}}}},
            "toolConfig.toolChoice",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}],
                    }
                ]
            },
            "messages.0.content.0.image",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"text": "a"},
                            {"document": {"name": "d", "format": "txt", "source": {"bytes": b"x"}}},
                        ],
                    }
                ]
            },
            "messages.0.content.1.document",
        ),
    ],
)
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_what_is_wrong_is_named(
    runtime: Any, operation: str, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(runtime.exceptions.ValidationException) as wrong:
        getattr(runtime, operation)(**{"modelId": "tiny", "messages": SAID, **more})
    assert wrong.value.response["Error"]["Message"].startswith(f"{field}: ")


def test_what_was_read_before_is_told(tmp_path: Path) -> None:
    long = {"role": "user", "content": [{"text": "the cat sat on the mat " * 40}]}
    asked = {**seeded(1), "messages": [long]}
    with (
        serving(tmp_path / "records.db", house={"prefix_memory": 50_000_000}) as served,
        aws("bedrock-runtime", served.url) as client,
    ):
        first, second = (client.converse(**asked) for _ in range(2))
    assert text_of(first) == text_of(second)
    assert first["usage"]["cacheReadInputTokens"] == 0
    assert second["usage"]["cacheReadInputTokens"] > 0
    for usage in (first["usage"], second["usage"]):
        read = usage["inputTokens"] + usage["cacheReadInputTokens"]
        assert usage["totalTokens"] == read + usage["outputTokens"]
    assert first["usage"]["totalTokens"] == second["usage"]["totalTokens"]


def test_credentials_of_keys(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as served:
        made = served.studio.records.keys.create(name="one", scopes=("inference",))
        id, secret = made.aws.access_key_id, made.aws.secret_access_key
        arn = "arn:aws:bedrock:us-east-1::foundation-model/tiny"
        with aws("bedrock-runtime", served.url, id, secret) as client:
            answer = client.converse(**{**seeded(1), "modelId": arn})
            assert served.entry(answer["ResponseMetadata"]["RequestId"]).key == made.key.id
            assert told_by(client.converse_stream(**seeded(1))["stream"])
        with aws("bedrock", served.url, id, secret) as control:
            assert control.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]


def test_over_tls_also_bearer_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 sends those over TLS alone, which a proxy before the server speaks."""
    with serving(tmp_path / "records.db") as served, encrypted(served.url, tmp_path) as url:
        made = served.studio.records.keys.create(name="one", scopes=("inference",))
        certificate = str(tmp_path / CERTIFICATE)
        id, secret = made.aws.access_key_id, made.aws.secret_access_key
        with aws("bedrock-runtime", url, id, secret, verify=certificate) as client:
            assert client.converse(**seeded(1))["usage"]
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", made.secret)
        with aws("bedrock-runtime", url, verify=certificate) as client:
            answer = client.converse(**seeded(1))
            assert served.entry(answer["ResponseMetadata"]["RequestId"]).key == made.key.id
            assert told_by(client.converse_stream(**seeded(1))["stream"])
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "sk-studiolo-wrong")
        with (
            aws("bedrock-runtime", url, verify=certificate) as client,
            pytest.raises(client.exceptions.ClientError, match="UnrecognizedClientException"),
        ):
            client.converse(**seeded(1))
