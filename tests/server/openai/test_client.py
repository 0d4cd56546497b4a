"""What the README and the reference of OpenAI's client show, done with it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

import studiolo
from studiolo.bundle.pull import pull
from studiolo.bundle.store import remove
from studiolo.server.limits import LimitError
from tests.server.serving import Served, eventually, serving

SAID: list[Any] = [
    {"role": "developer", "content": "Talk like a pirate."},
    {"role": "user", "content": "How do I check if a Python object is an instance of a class?"},
]


class Weather(BaseModel):
    """Of a city."""

    city: Literal["Paris", "Rome"]


class Answer(BaseModel):
    wet: bool


TOOL: Any = openai.pydantic_function_tool(Weather)
CALLED: Any = {"type": "function", "function": {"name": "Weather"}}


@pytest.fixture(scope="module")
def lm(tiny: str) -> studiolo.LanguageModel:
    return studiolo.load(tiny, device="cpu")


def test_a_chat(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="tiny", messages=SAID, max_tokens=5)
    assert made.choices[0].message.role == "assistant"
    assert isinstance(made.choices[0].message.content, str)
    assert made._request_id == f"req_{made.id.removeprefix('chatcmpl-')}"


def test_the_helper_for_streams(client: openai.OpenAI) -> None:
    choices = {"choices": ["the rain in the street", "the cat on the mat"]}
    options: Any = {"model": "tiny", "messages": SAID, "seed": 4, "extra_body": choices}
    whole = client.chat.completions.create(**options, logprobs=True, top_logprobs=1)
    content, kinds = "", set()
    with client.chat.completions.stream(**options, logprobs=True, top_logprobs=1) as stream:
        for event in stream:
            kinds.add(event.type)
            if event.type == "content.delta":
                content += event.delta
            elif event.type == "content.done":
                assert event.content == content
        final = stream.get_final_completion()
    assert kinds >= {"chunk", "content.delta", "content.done", "logprobs.content.delta"}
    assert content == final.choices[0].message.content == whole.choices[0].message.content
    assert final.choices[0].logprobs is not None
    assert whole.choices[0].logprobs is not None
    found, expected = final.choices[0].logprobs.content, whole.choices[0].logprobs.content
    assert [each.to_dict() for each in found or []] == [each.to_dict() for each in expected or []]


def test_the_helper_for_streams_parses(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "messages": SAID, "temperature": 0}
    with client.chat.completions.stream(**options, response_format=Answer) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Answer)
    done = []
    with client.chat.completions.stream(**options, tools=[TOOL], tool_choice=CALLED) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.done":
                done.append(event)
        final = stream.get_final_completion()
    assert [each.name for each in done] == ["Weather"]
    assert isinstance(done[0].parsed_arguments, Weather)
    calls = final.choices[0].message.tool_calls or []
    assert isinstance(calls[0].function.parsed_arguments, Weather)


def test_parsing(client: openai.OpenAI) -> None:
    made = client.chat.completions.parse(
        model="tiny", messages=SAID, response_format=Answer, temperature=0
    )
    assert isinstance(made.choices[0].message.parsed, Answer)
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(
            model="tiny", messages=SAID, response_format=Answer, temperature=0, max_tokens=2
        )


def test_tools_and_their_results(client: openai.OpenAI, lm: studiolo.LanguageModel) -> None:
    """As in the guide to function calling: the message goes back as it came."""
    options: Any = {"model": "tiny", "tools": [TOOL], "max_tokens": 400, "seed": 2}
    first = client.chat.completions.create(messages=SAID, tool_choice=CALLED, **options)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    (call,) = message.tool_calls or []
    assert call.type == "function"
    Weather.model_validate_json(call.function.arguments)
    talk: list[Any] = [*SAID, message]
    talk.append({"role": "tool", "tool_call_id": call.id, "content": "It rains."})
    second = client.chat.completions.create(messages=talk, tool_choice="none", **options)
    assert second.choices[0].message.tool_calls is None
    assert second.choices[0].message.content
    dumped = [*SAID, message.model_dump(), talk[-1]]
    third = client.chat.completions.create(messages=dumped, tool_choice="none", **options)
    assert third.choices[0].message.content == second.choices[0].message.content


def test_several_calls_and_their_results(client: openai.OpenAI) -> None:
    calls = [
        {"id": f"call_{i}", "type": "function",
         "function": {"name": "Weather", "arguments": json.dumps({"city": city})}}
        for i, city in enumerate(["Paris", "Rome"])
    ]  # fmt: skip
    talk: Any = [*SAID, {"role": "assistant", "tool_calls": calls}]
    talk += [{"role": "tool", "tool_call_id": each["id"], "content": "wet"} for each in calls]
    made = client.chat.completions.create(model="tiny", messages=talk, tools=[TOOL], max_tokens=4)
    assert made.usage is not None
    one = client.chat.completions.create(
        model="tiny", messages=talk, tools=[TOOL], max_tokens=4, parallel_tool_calls=False
    )
    assert one.choices[0].message.role == "assistant"


def test_asynchronously(served: Served) -> None:
    async def ask() -> tuple[Any, ...]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
            choices = {"choices": ["the rain", "the cat"]}
            options: Any = {"model": "tiny", "messages": SAID, "seed": 2, "extra_body": choices}
            made = await client.chat.completions.create(**options)
            text = ""
            async for chunk in await client.chat.completions.create(**options, stream=True):
                text += chunk.choices[0].delta.content or ""
            async with client.chat.completions.stream(**options) as stream:
                final = await stream.get_final_completion()
            vectors = await client.embeddings.create(model="tiny-encoder", input="a")
            names = [each.id async for each in client.models.list()]
            together = await asyncio.gather(
                *(client.chat.completions.create(**options) for _ in range(8))
            )
            texts = {each.choices[0].message.content for each in together}
            whole = made.choices[0].message.content
            return whole, text, final.choices[0].message.content, texts, vectors, names

    whole, text, final, texts, vectors, names = asyncio.run(ask())
    assert whole == text == final
    assert texts == {whole}
    assert len(vectors.data[0].embedding) == 32
    assert {"tiny", "tiny-encoder"} <= set(names)


def test_raw_responses(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "messages": SAID, "max_tokens": 3}
    raw = client.chat.completions.with_raw_response.create(**options)
    assert raw.headers["x-request-id"] == raw.request_id
    assert raw.headers["content-type"] == "application/json"
    assert raw.parse().choices[0].finish_reason == "length"
    with client.chat.completions.with_streaming_response.create(**options) as response:
        assert json.loads(b"".join(response.iter_bytes()))["object"] == "chat.completion"


def test_a_client_that_waits_no_longer_is_answered_no_more(
    client: openai.OpenAI, served: Served
) -> None:
    with served.braked(), pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(model="tiny", messages=SAID)
    eventually(lambda: served.jobs == 0)


def test_a_stream_that_is_closed_is_cancelled(client: openai.OpenAI, served: Served) -> None:
    with served.braked() as steps:
        stream = client.chat.completions.create(
            model="tiny", messages=SAID, max_tokens=2000, stream=True, seed=1,
            extra_body={"ignore_eos": True},
        )  # fmt: skip
        steps.release(40)  # the first tokens may be no text, or half a character
        first = next(iter(stream))
        stream.close()
        assert served.entry(first.id.replace("chatcmpl-", "req_")).status == 499
    eventually(lambda: served.jobs == 0)


@pytest.fixture(scope="module")
def filler(
    tiny: str, tiny_home: Path, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The name of a model whose tokenizer has the marks that fill-in-the-middle needs."""
    path = shutil.copytree(tiny, tmp_path_factory.mktemp("filler") / "filler")
    marks = {"user": "fim_prefix", "system": "fim_suffix", "end": "fim_middle"}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (path / name).read_text()
        for old, new in marks.items():
            text = text.replace(f"<|{old}|>", f"<|{new}|>")
        (path / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIOLO_HOME", str(tiny_home))
        pull(f"{path}/", name="filler")
        yield "filler"
        remove("filler")
        served.studio.house.unload("filler")  # what is loaded is still listed


def test_what_stands_between_is_filled_in(client: openai.OpenAI, filler: str) -> None:
    options: Any = {"model": filler, "prompt": "the ", "max_tokens": 4, "temperature": 0}
    made = client.completions.create(**options, suffix=" mat")
    assert made.usage is not None
    alone = client.completions.create(**options)
    assert alone.usage is not None
    assert made.usage.prompt_tokens > alone.usage.prompt_tokens + 3
    streamed = client.completions.create(**options, suffix=" mat", stream=True)
    assert "".join(each.choices[0].text for each in streamed) == made.choices[0].text
    with pytest.raises(openai.BadRequestError, match="cannot fill in the middle"):
        client.completions.create(model="tiny", prompt="the", suffix="mat")


def test_the_best_of_several(client: openai.OpenAI, lm: studiolo.LanguageModel) -> None:
    made = client.completions.create(
        model="tiny", prompt="the cat", max_tokens=6, seed=5, best_of=4, n=2
    )
    drawn = lm.generate("the cat", max_tokens=6, seed=5, n=4, log_probs=0)
    samples = [drawn, *drawn.alternatives]
    means = {
        each.text: sum(c.log_prob for c in each.log_probs or ()) / max(1, len(each.token_ids))
        for each in samples
    }
    best = sorted(means, key=lambda text: means[text], reverse=True)[:2]
    assert [each.text for each in made.choices] == best
    assert made.usage is not None
    assert made.usage.completion_tokens == drawn.usage.completion_tokens


def test_biases_stops_and_users(
    client: openai.OpenAI, served: Served, lm: studiolo.LanguageModel
) -> None:
    (token,) = lm.tokenizer.encode("x")
    made = client.chat.completions.create(
        model="tiny", messages=SAID, max_tokens=3, temperature=0, user="me",
        logit_bias={str(token): 100},
    )  # fmt: skip
    assert made.choices[0].message.content == "xxx"
    assert made._request_id is not None
    assert served.entry(made._request_id).user == "me"
    stopped = client.chat.completions.create(
        model="tiny", messages=SAID, max_tokens=3, temperature=0, stop=["q", "x"],
        logit_bias={str(token): 100},
    )  # fmt: skip
    assert stopped.choices[0].message.content == ""
    assert stopped.choices[0].finish_reason == "stop"


def test_a_seed_and_a_fingerprint_mean_the_same_bits(client: openai.OpenAI) -> None:
    def ask(seed: int) -> tuple[str | None, str | None]:
        made = client.chat.completions.create(
            model="tiny", messages=SAID, max_tokens=30, seed=seed, temperature=1
        )
        return made.choices[0].message.content, made.system_fingerprint

    assert ask(1) == ask(1)
    assert ask(1)[0] != ask(2)[0]
    assert ask(1)[1] == ask(2)[1]


def test_vectors_come_as_bytes_and_are_read_as_numbers(client: openai.OpenAI) -> None:
    """The client asks for base64 by itself."""
    texts = ["a cat", "b"]
    read = client.embeddings.create(model="tiny-encoder", input=texts)
    plain = client.embeddings.create(model="tiny-encoder", input=texts, encoding_format="float")
    coded: Any = client.embeddings.create(
        model="tiny-encoder", input=texts, encoding_format="base64"
    )
    assert isinstance(coded.data[0].embedding, str)
    for one, other in zip(read.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-7)
    assert read.usage.prompt_tokens == read.usage.total_tokens > 0


def test_errors_are_of_the_kind_that_the_client_documents(
    keeper: Served, one: openai.OpenAI
) -> None:
    keys = keeper.studio.records.keys
    narrow = keys.create(name="narrow", models=("tiny-encoder",)).secret
    ask: Any = {"model": "tiny", "messages": SAID}
    with pytest.raises(openai.AuthenticationError) as wrong:
        one.with_options(api_key="sk-wrong").chat.completions.create(**ask)
    assert wrong.value.status_code == 401
    with pytest.raises(openai.PermissionDeniedError):
        one.with_options(api_key=narrow).chat.completions.create(**ask)
    with pytest.raises(openai.NotFoundError) as missing:
        one.chat.completions.create(**{**ask, "model": "gpt-5.5"})
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as large:
        one.chat.completions.create(**ask, max_completion_tokens=5_000)
    assert large.value.code == "context_length_exceeded"
    assert large.value.param == "max_completion_tokens"
    assert large.value.request_id is not None
    with pytest.raises(openai.APIConnectionError):
        openai.OpenAI(base_url="http://127.0.0.1:1/v1", api_key="x", max_retries=0).models.list()


def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    tiny_home: Path, tmp_path: Path
) -> None:
    with (
        serving(tmp_path / "records.db", max_body=1000) as small,
        openai.OpenAI(base_url=f"{small.url}/v1", api_key="x", max_retries=0) as client,
        pytest.raises(openai.APIStatusError) as wrong,
    ):
        client.completions.create(model="tiny", prompt="x" * 2000)
    assert wrong.value.status_code == 413


def test_the_client_comes_back_when_it_is_told_to(
    keeper: Served, one: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    waited: list[float] = []
    limiter = keeper.studio.limiter
    admit = limiter.admit

    def busy(key: Any) -> None:
        asked.append(key)
        if len(asked) < 3:
            raise LimitError("too many", retry_after=0.3)
        admit(key)

    monkeypatch.setattr(limiter, "admit", busy)
    monkeypatch.setattr("time.sleep", waited.append)
    patient = one.with_options(max_retries=2)
    made = patient.chat.completions.create(model="tiny", messages=SAID, max_tokens=2)
    assert made.choices
    assert [seconds for seconds in waited if seconds >= 1] == [1.0, 1.0]  # a header is whole
    asked.clear()
    with pytest.raises(openai.RateLimitError) as wrong:
        one.chat.completions.create(model="tiny", messages=SAID, max_tokens=2)
    assert wrong.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "fields",
    [
        {"audio": {"voice": "alloy", "format": "wav"}},
        {"modalities": ["text", "audio"]},
        {"prediction": {"type": "content", "content": "x"}},
        {"web_search_options": {}},
        {"reasoning_effort": "high"},
        {"verbosity": "low"},
        {"service_tier": "flex"},
        {"store": True},
        {"functions": [{"name": "x"}]},
        {"moderation": {"model": "x"}},
    ],
)
def test_what_a_model_here_has_not_is_refused_by_name(
    client: openai.OpenAI, fields: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="tiny", messages=SAID, **fields)
    assert wrong.value.param is not None
    assert wrong.value.param.split(".")[0] == next(iter(fields))


def test_what_asks_for_nothing_is_accepted(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(
        model="tiny", messages=SAID, max_tokens=1, store=False, service_tier="auto",
        metadata={"a": "b"}, modalities=["text"], reasoning_effort="none", verbosity="medium",
        prompt_cache_key="x", safety_identifier="y", parallel_tool_calls=True,
    )  # fmt: skip
    assert made.choices
