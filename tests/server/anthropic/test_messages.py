"""Messages, asked by Anthropic's own client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Literal

import anthropic
import pytest
from anthropic.types import Message, Usage
from pydantic import BaseModel

import studiolo
from tests.server.anthropic.asking import SAID, WEATHER, seeded
from tests.server.serving import Served, serving


def test_a_message_is_answered(client: anthropic.Anthropic, lm: studiolo.LanguageModel) -> None:
    made = client.messages.create(**seeded(8, temperature=0.7, top_p=0.9, top_k=40))
    expected = lm.chat(SAID, max_tokens=9, seed=8, temperature=0.7, top_p=0.9, top_k=40)
    assert (made.type, made.role, made.model) == ("message", "assistant", "tiny")
    assert [block.type for block in made.content] == ["text"]
    assert made.content[0].text == expected.text
    assert made.stop_reason == {"length": "max_tokens", "stop": "end_turn"}[expected.finish_reason]
    assert made.usage.output_tokens == expected.usage.completion_tokens
    read = made.usage.input_tokens + (made.usage.cache_read_input_tokens or 0)
    assert read == expected.usage.prompt_tokens
    assert made.id.startswith("msg_")
    assert (made._request_id or "").startswith("req_")


def test_a_stop_sequence_is_named(client: anthropic.Anthropic, lm: studiolo.LanguageModel) -> None:
    told = lm.chat(SAID, max_tokens=40, seed=3).text
    stop = told[3:5]
    options = {**seeded(3), "max_tokens": 40}
    made = client.messages.create(**options, stop_sequences=["never this", stop])
    expected = lm.chat(SAID, max_tokens=40, seed=3, stop=stop)
    assert (made.stop_reason, made.stop_sequence) == ("stop_sequence", stop)
    assert made.content[0].text == expected.text
    with client.messages.stream(**options, stop_sequences=[stop]) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", stop)


def test_a_stream_is_the_same_in_pieces(client: anthropic.Anthropic) -> None:
    options = {**seeded(5), "max_tokens": 30}
    whole = client.messages.create(**options)
    with client.messages.stream(**options) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(texts) > 1
    assert "".join(texts) == whole.content[0].text
    assert stream.get_final_text() == whole.content[0].text
    assert (final.stop_reason, final.model) == (whole.stop_reason, "tiny")
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert (stream.request_id or "").startswith("req_")


def test_the_events_come_in_their_order(served: Served) -> None:
    options = {"max_tokens": 5, "seed": 2, "ignore_eos": True}
    body = {"model": "tiny", "messages": SAID, "stream": True, **options}
    with served.http().stream("POST", "/v1/messages", json=body) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = list(reply.iter_lines())
    names = [line[7:] for line in lines if line.startswith("event: ")]
    data = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert names == [each["type"] for each in data]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[3:-3]) == {"content_block_delta"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_read(
    client: anthropic.Anthropic, lm: studiolo.LanguageModel, stream: bool
) -> None:
    options: Any = {
        **seeded(2), "max_tokens": 500, "tools": [WEATHER],
        "tool_choice": {"type": "tool", "name": "weather"},
    }  # fmt: skip
    if stream:
        with client.messages.stream(**options) as running:
            made: Any = running.get_final_message()
    else:
        made = client.messages.create(**options)
    assert made.stop_reason == "tool_use"
    (block,) = made.content
    assert (block.type, block.name) == ("tool_use", "weather")
    assert block.id.startswith("toolu_")
    assert block.input["city"] in ("Paris", "Rome")

    result: Any = {"type": "tool_result", "tool_use_id": block.id, "content": "wet"}
    turns: Any = [
        *SAID,
        {"role": "assistant", "content": made.content},
        {"role": "user", "content": [result, {"type": "text", "text": "so?"}]},
    ]
    options = {"messages": turns, "tools": [WEATHER], "tool_choice": {"type": "none"}}
    told = client.messages.create(**{**seeded(6), **options})
    function = {"name": "weather", "arguments": block.input}
    call = {"id": block.id, "type": "function", "function": function}
    expected = lm.chat(
        [
            *SAID,
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "wet", "name": "weather", "tool_call_id": block.id},
            {"role": "user", "content": "so?"},
        ],
        max_tokens=9,
        seed=6,
    )
    assert told.content[0].text == expected.text


def test_any_tool_and_no_more_than_one(client: anthropic.Anthropic) -> None:
    options: Any = {
        **seeded(2), "max_tokens": 500, "tools": [{**WEATHER, "strict": True}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }  # fmt: skip
    made = client.messages.create(**options)
    assert made.stop_reason == "tool_use"
    assert [block.type for block in made.content] == ["tool_use"]


class Answer(BaseModel, extra="forbid"):
    wet: bool


def test_structured_output_is_parsed(client: anthropic.Anthropic) -> None:
    options: Any = {**seeded(1), "max_tokens": 100}
    made = client.messages.parse(**options, output_format=Answer)
    assert isinstance(made.parsed_output, Answer)
    assert (made.stop_reason, made.stop_sequence) == ("end_turn", None)
    beta = client.beta.messages.parse(**options, output_format=Answer)
    assert beta.parsed_output == made.parsed_output


def test_an_answer_that_is_begun_goes_on(
    client: anthropic.Anthropic, lm: studiolo.LanguageModel
) -> None:
    said: Any = [*SAID, {"role": "assistant", "content": "the str"}]
    made = client.messages.create(**{**seeded(7), "messages": said})
    ids = lm.encode_chat(SAID) + lm.tokenizer.encode("the str", add_special=False)
    expected = lm.generate(ids, max_tokens=9, seed=7)
    assert made.content[0].text == expected.text
    assert made.usage.input_tokens + (made.usage.cache_read_input_tokens or 0) == len(ids)


@pytest.mark.parametrize("tools", [[], [WEATHER]])
def test_tokens_are_counted_as_they_are_read(client: anthropic.Anthropic, tools: Any) -> None:
    asked: Any = {"model": "tiny", "messages": SAID, "system": "the cat", "tools": tools}
    counted = client.messages.count_tokens(**asked).input_tokens
    made = client.messages.create(**asked, max_tokens=1)
    assert counted == made.usage.input_tokens + (made.usage.cache_read_input_tokens or 0)


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_known_is_told_apart(tmp_path: Path, stream: bool) -> None:
    with (
        serving(tmp_path / "records.db", house={"prefix_memory": 10_000_000}) as served,
        anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0) as client,
    ):
        options: Any = {**seeded(1), "system": "the cat sat on the mat " * 20}

        def usage() -> Usage:
            if not stream:
                made: Message = client.messages.create(**options)
                return made.usage
            with client.messages.stream(**options) as running:
                return running.get_final_message().usage

        first, second = usage(), usage()
        assert first.cache_read_input_tokens == 0
        assert (second.cache_read_input_tokens or 0) > 0
        known = second.cache_read_input_tokens or 0
        assert second.input_tokens + known == first.input_tokens


def test_asynchronously(served: Served, lm: studiolo.LanguageModel) -> None:
    async def ask() -> tuple[Any, str, int]:
        async with anthropic.AsyncAnthropic(base_url=served.url, api_key="none") as client:
            made = await client.messages.create(**seeded(8))
            async with client.messages.stream(**seeded(8)) as stream:
                pieces = [text async for text in stream.text_stream]
            counted = await client.messages.count_tokens(model="tiny", messages=SAID)
            return made.content[0], "".join(pieces), counted.input_tokens

    block, streamed, tokens = asyncio.run(ask())
    assert block.text == streamed == lm.chat(SAID, max_tokens=9, seed=8).text
    assert tokens == len(lm.encode_chat(SAID))


def test_a_loop_of_the_clients_own_runs_tools(client: anthropic.Anthropic) -> None:
    asked: list[str] = []

    @anthropic.beta_tool(input_schema=WEATHER["input_schema"])
    def weather(city: Literal["Paris", "Rome"]) -> str:
        """The weather of a city."""
        asked.append(city)
        return "wet"

    runner = client.beta.messages.tool_runner(
        model="tiny",
        max_tokens=500,
        max_iterations=2,
        tools=[weather],
        messages=SAID,
        tool_choice={"type": "tool", "name": "weather"},
        extra_body={"seed": 2},
    )
    made = list(runner)
    assert [message.stop_reason for message in made] == ["tool_use", "tool_use"]
    assert len(asked) == 2


def test_there_are_no_batches(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="Message Batches are not supported"):
        client.messages.batches.list()
    with pytest.raises(anthropic.NotFoundError, match="Message Batches are not supported"):
        client.messages.batches.create(requests=[])
