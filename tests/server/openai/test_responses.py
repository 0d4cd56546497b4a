"""Responses, asked by OpenAI's own client."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

import studiolo
from tests.server.serving import Served

SAID: list[Any] = [{"role": "user", "content": "the rain"}]
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def lm(tiny: str) -> studiolo.LanguageModel:
    return studiolo.load(tiny, device="cpu")


def test_a_text_is_answered(client: openai.OpenAI, lm: studiolo.LanguageModel) -> None:
    made = client.responses.create(
        model="tiny",
        instructions="You are wet.",
        input="the rain",
        max_output_tokens=9,
        extra_body={"seed": 8},
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    said = [{"role": "system", "content": "You are wet."}, *SAID]
    expected = lm.chat(said, max_tokens=9, seed=8, log_probs=2)
    assert made.output_text == expected.text
    assert made.usage is not None
    assert made.usage.input_tokens == expected.usage.prompt_tokens
    assert made.usage.output_tokens == expected.usage.completion_tokens
    assert made.status == ("incomplete" if expected.finish_reason == "length" else "completed")
    (message,) = made.output
    assert message.type == "message"
    assert message.content[0].type == "output_text"
    found = message.content[0].logprobs or []
    assert expected.log_probs is not None
    assert [each.logprob for each in found] == [each.log_prob for each in expected.log_probs]
    assert all(len(each.top_logprobs) == 2 for each in found)
    assert made.to_dict()["store"] is False
    assert made._request_id == f"req_{made.id.removeprefix('resp_')}"


def test_a_stream_is_the_same_in_events(client: openai.OpenAI) -> None:
    options: Any = {
        "model": "tiny", "input": SAID, "max_output_tokens": 20, "extra_body": {"seed": 3},
    }  # fmt: skip
    whole = client.responses.create(**options)
    text, last = "", None
    for number, event in enumerate(client.responses.create(**options, stream=True)):
        assert event.sequence_number == number
        if event.type == "response.output_text.delta":
            text += event.delta
        last = event
    assert text == whole.output_text
    assert last is not None
    assert last.type == f"response.{whole.status}"
    with client.responses.stream(**options) as stream:
        kinds = [event.type for event in stream]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == last.type


def test_the_final_response_of_a_stream(client: openai.OpenAI) -> None:
    options: Any = {
        "model": "tiny", "input": SAID, "extra_body": {"seed": 3, "choices": ["yes", "no"]},
    }  # fmt: skip
    with client.responses.stream(**options) as stream:
        final = stream.get_final_response()
    assert final.output_text in ("yes", "no")
    assert final.status == "completed"
    assert final.completed_at is not None


def test_it_is_answered_asynchronously(served: Served) -> None:
    async def ask() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
            options: Any = {"model": "tiny", "input": "so", "extra_body": {"choices": ["yes"]}}
            made = await client.responses.create(**options)
            text = ""
            async for event in await client.responses.create(**options, stream=True):
                if event.type == "response.output_text.done":
                    text = event.text
            return made.output_text, text

    assert asyncio.run(ask()) == ("yes", "yes")


class Answer(BaseModel):
    wet: bool


def test_structured_output_is_parsed(client: openai.OpenAI) -> None:
    made = client.responses.parse(
        model="tiny", input=SAID, text_format=Answer, extra_body={"seed": 1, "temperature": 0}
    )
    assert isinstance(made.output_parsed, Answer)
    nested = client.responses.create(
        model="tiny", input=SAID, text={"format": {"type": "json_object"}}, max_output_tokens=30
    )
    assert nested.output_text.startswith("{")


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_sent_back(client: openai.OpenAI, stream: bool) -> None:
    options: Any = {
        "model": "tiny", "tools": [WEATHER], "extra_body": {"seed": 2}, "max_output_tokens": 90,
    }  # fmt: skip
    first: Any = {**options, "tool_choice": {"type": "function", "name": "weather"}}
    if stream:
        with client.responses.stream(input=SAID, **first) as events:
            made: Any = events.get_final_response()
    else:
        made = client.responses.create(input=SAID, **first)
    (call,) = made.output
    assert call.type == "function_call"
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")
    said: list[Any] = [*SAID, *made.output]
    said.append({"type": "function_call_output", "call_id": call.call_id, "output": "wet"})
    again = client.responses.create(input=said, **options, tool_choice="none")
    assert again.output[0].type == "message"
    if not stream:  # what is parsed is no part of an input
        dumped = [each.to_dict() for each in made.output]
        third = client.responses.create(
            input=[*SAID, *dumped, said[-1]], **options, tool_choice="none"
        )
        assert third.output_text == again.output_text


class Weather(BaseModel):
    """Of a city."""

    city: Literal["Paris", "Rome"]


def test_a_tool_that_is_a_class(client: openai.OpenAI) -> None:
    made = client.responses.parse(
        model="tiny",
        input=SAID,
        tools=[openai.pydantic_function_tool(Weather)],
        tool_choice="required",
        extra_body={"temperature": 0},
    )
    call = made.output[0]
    assert call.type == "function_call"
    assert isinstance(call.parsed_arguments, Weather)


def test_what_is_wrong_is_named(client: openai.OpenAI) -> None:
    wrong: list[tuple[dict[str, Any], str | None]] = [
        ({"input": "x", "temperature": -1}, "temperature"),
        ({"input": "x", "truncation": "auto"}, "truncation"),
        ({"input": "x", "store": True}, "store"),
        ({"input": "x", "previous_response_id": "resp_0123456789abcdef01234567"},
         "previous_response_id"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
         "input.0.content.0"),
    ]  # fmt: skip
    for fields, param in wrong:
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="tiny", **fields)
        assert caught.value.param == param
    with pytest.raises(openai.NotFoundError, match="no model is called"):
        client.responses.create(model="nobody", input="x")
    with pytest.raises(openai.NotFoundError, match="keep contents"):
        client.responses.retrieve("resp_0123456789abcdef01234567")


def test_a_stored_response_is_looked_at_and_deleted(
    one: openai.OpenAI, two: openai.OpenAI, keeper: Served
) -> None:
    made = one.responses.create(
        model="tiny", input=[*SAID, {"role": "user", "content": "so"}], metadata={"a": "b"},
        max_output_tokens=5,
    )  # fmt: skip
    assert made.to_dict()["store"] is True
    assert one.responses.retrieve(made.id) == made
    items = list(one.responses.input_items.list(made.id, order="asc", limit=1))
    assert [item.to_dict()["content"] for item in items] == [
        [{"text": "the rain", "type": "input_text"}], [{"text": "so", "type": "input_text"}],
    ]  # fmt: skip
    assert list(one.responses.input_items.list(made.id, limit=1)) == items[::-1]
    for id in (made.id, "resp_x", "../v1/models", made.id.replace("resp_", "chatcmpl-")):
        with pytest.raises(openai.NotFoundError):
            two.responses.retrieve(id)
    with pytest.raises(openai.NotFoundError):
        two.responses.delete(made.id)
    with pytest.raises(openai.BadRequestError) as wrong:
        two.responses.create(model="tiny", input="x", previous_response_id=made.id)
    assert wrong.value.param == "previous_response_id"
    one.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError, match="no response is stored"):
        one.responses.retrieve(made.id)
    contents = keeper.studio.records.contents
    assert contents.receipt(made.id.replace("resp_", "req_"), None, admin=True) is None


def test_what_is_not_to_be_stored_is_not(one: openai.OpenAI, keeper: Served) -> None:
    made = one.responses.create(model="tiny", input="x", store=False, max_output_tokens=5)
    with pytest.raises(openai.NotFoundError):
        one.responses.retrieve(made.id)
    kept = keeper.studio.records.contents.content(
        made.id.replace("resp_", "req_"), None, admin=True
    )
    assert kept is not None  # the server's own policy is another thing
    assert kept.prompt == {"messages": [{"role": "user", "content": "x"}]}
    assert "response" not in kept.output


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_goes_on(
    one: openai.OpenAI, lm: studiolo.LanguageModel, stream: bool
) -> None:
    options: Any = {"model": "tiny", "max_output_tokens": 6, "extra_body": {"temperature": 0}}
    first = one.responses.create(input="the rain", instructions="Be wet.", **options)
    more: Any = {**options, "input": "and then", "previous_response_id": first.id}
    if stream:
        events = list(one.responses.create(**more, stream=True))
        last: Any = events[-1]
        second = last.response
    else:
        second = one.responses.create(**more)
    said = [
        {"role": "user", "content": "the rain"},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "and then"},
    ]
    assert second.output_text == lm.chat(said, max_tokens=6, temperature=0).text
    assert second.previous_response_id == first.id
    third = one.responses.create(
        input="so", previous_response_id=second.id, instructions="Be dry.", **options
    )
    said += [
        {"role": "assistant", "content": second.output_text},
        {"role": "user", "content": "so"},
    ]
    dry = [{"role": "system", "content": "Be dry."}, *said]
    assert third.output_text == lm.chat(dry, max_tokens=6, temperature=0).text
    assert len(list(one.responses.input_items.list(third.id))) == 1


def test_a_result_follows_a_stored_call(one: openai.OpenAI) -> None:
    first = one.responses.create(
        model="tiny", input=SAID, tools=[WEATHER], max_output_tokens=90, extra_body={"seed": 2},
        tool_choice={"type": "function", "name": "weather"},
    )  # fmt: skip
    call = first.output[0]
    assert call.type == "function_call"
    second = one.responses.create(
        model="tiny", previous_response_id=first.id, max_output_tokens=5,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "wet"}],
    )  # fmt: skip
    assert second.output[0].type == "message"
