"""Chat, completions and embeddings, asked by OpenAI's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

import studiolo
from tests.server.serving import Served

SAID: list[Any] = [{"role": "user", "content": "the rain"}]


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def lm(tiny: str) -> studiolo.LanguageModel:
    return studiolo.load(tiny, device="cpu")


def test_a_chat_is_answered(client: openai.OpenAI, lm: studiolo.LanguageModel) -> None:
    made = client.chat.completions.create(
        model="tiny", messages=SAID, max_tokens=9, seed=8, logprobs=True, top_logprobs=2, n=2
    )
    expected = lm.chat(SAID, max_tokens=9, seed=8, log_probs=2, n=2)
    texts = [choice.message.content for choice in made.choices]
    assert texts == [expected.text, expected.alternatives[0].text]
    assert made.usage is not None
    assert made.usage.prompt_tokens == expected.usage.prompt_tokens
    assert made.usage.completion_tokens == expected.usage.completion_tokens
    assert expected.log_probs is not None
    assert made.choices[0].logprobs is not None
    found = made.choices[0].logprobs.content or []
    assert [each.logprob for each in found] == [each.log_prob for each in expected.log_probs]
    assert all(len(each.top_logprobs) == 2 for each in found)
    assert made.system_fingerprint is not None
    assert made.system_fingerprint.startswith("fp_")


def test_a_stream_is_the_same_in_pieces(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "messages": SAID, "max_tokens": 20, "seed": 3, "n": 2}
    whole = client.chat.completions.create(**options)
    texts, reasons, usage = ["", ""], ["", ""], None
    for chunk in client.chat.completions.create(
        **options, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert texts == [choice.message.content for choice in whole.choices]
    assert reasons == [choice.finish_reason for choice in whole.choices]
    assert usage == whole.usage


class Answer(BaseModel):
    wet: bool
    word: str


def test_structured_output_is_parsed(client: openai.OpenAI) -> None:
    made = client.chat.completions.parse(
        model="tiny", messages=SAID, response_format=Answer, seed=1, max_tokens=100
    )
    if made.choices[0].finish_reason == "stop":
        assert isinstance(made.choices[0].message.parsed, Answer)
    else:  # a random model may talk on
        assert (made.choices[0].message.content or "").startswith("{")


WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called(client: openai.OpenAI, stream: bool) -> None:
    options: Any = {
        "model": "tiny", "messages": SAID, "tools": [WEATHER], "seed": 2,
        "tool_choice": {"type": "function", "function": {"name": "weather"}}, "max_tokens": 90,
    }  # fmt: skip
    if stream:
        names, arguments, reason = "", "", None
        for chunk in client.chat.completions.create(**options, stream=True):
            for call in chunk.choices[0].delta.tool_calls or []:
                assert call.function is not None
                names += call.function.name or ""
                arguments += call.function.arguments or ""
            reason = chunk.choices[0].finish_reason or reason
    else:
        made = client.chat.completions.create(**options).choices[0]
        reason = made.finish_reason
        (called,) = made.message.tool_calls or []
        assert called.type == "function"
        names, arguments = called.function.name, called.function.arguments
        assert made.message.content is None
    assert (names, reason) == ("weather", "tool_calls")
    assert json.loads(arguments)["city"] in ("Paris", "Rome")


def test_a_prompt_is_gone_on_from(client: openai.OpenAI, lm: studiolo.LanguageModel) -> None:
    made = client.completions.create(
        model="tiny", prompt="the cat", max_tokens=9, seed=5, stop=["e"], logprobs=1, echo=False
    )
    expected = lm.generate("the cat", max_tokens=9, seed=5, stop=["e"], log_probs=1)
    assert made.choices[0].text == expected.text
    assert made.choices[0].logprobs is not None
    assert len(made.choices[0].logprobs.tokens or []) == len(expected.token_ids)
    echoed = client.completions.create(
        model="tiny", prompt="the cat", max_tokens=9, seed=5, stop=["e"], echo=True
    )
    assert echoed.choices[0].text == f"the cat{expected.text}"
    pieces = client.completions.create(
        model="tiny", prompt="the cat", max_tokens=9, seed=5, stop=["e"], stream=True
    )
    assert "".join(piece.choices[0].text for piece in pieces) == expected.text


def test_several_prompts_are_each_answered_as_alone(
    client: openai.OpenAI, lm: studiolo.LanguageModel
) -> None:
    prompts = ["the cat", "the rain", "a"]
    asked: dict[str, Any] = {"model": "tiny", "max_tokens": 7, "seed": 5, "n": 2}
    made = client.completions.create(prompt=prompts, echo=True, **asked)
    ids = [lm.tokenizer.encode(prompt) for prompt in prompts]
    tokens = client.completions.create(prompt=ids, **asked)
    expected = []
    for prompt in prompts:
        one = lm.generate(prompt, max_tokens=7, seed=5, n=2)
        expected += [each.text for each in (one, *one.alternatives)]
    assert [each.index for each in made.choices] == list(range(6))
    echoed = [f"{prompts[i // 2]}{text}" for i, text in enumerate(expected)]
    assert [each.text for each in made.choices] == echoed
    assert [each.text for each in tokens.choices] == expected
    assert made.usage is not None
    assert made.usage.prompt_tokens == sum(map(len, ids))
    texts = [""] * 6
    for piece in client.completions.create(prompt=prompts, stream=True, **asked):
        texts[piece.choices[0].index] += piece.choices[0].text
    assert texts == expected


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_texts_are_scored(
    client: openai.OpenAI, lm: studiolo.LanguageModel, max_tokens: int
) -> None:
    """As lm-evaluation-harness asks for it: token ids, and the end of each is what it measures."""
    texts = ["the cat sat on the mat", "the rain fell", "an old town"]
    ids = [lm.tokenizer.encode(text) for text in texts]
    made = client.completions.create(
        model="tiny",
        prompt=ids,
        temperature=0,
        max_tokens=max_tokens,
        logprobs=1,
        seed=1234,
        echo=True,
    )
    assert made.usage is not None
    assert made.usage.completion_tokens == max_tokens * 3
    for choice, text, own in zip(made.choices, texts, ids, strict=True):
        assert choice.logprobs is not None
        known: list[float | None] = [*(choice.logprobs.token_logprobs or [])]
        first, *rest = known[: len(own)]
        assert first is None
        score = lm.score(text)
        assert rest == [p for _, _, p in score.tokens[1:]]
        assert (choice.logprobs.tokens or [])[: len(own)] == [t for t, _, _ in score.tokens]
        assert choice.text.startswith(text)
        tops = (choice.logprobs.top_logprobs or [])[1 : len(own)]
        for i, (log_prob, top) in enumerate(zip(rest, tops, strict=True), start=1):
            greedy = int(lm.next_log_probs(own[:i]).argmax()) == own[i]
            assert (log_prob == max(top.values())) is greedy
        if not max_tokens:
            assert (choice.text, choice.finish_reason) == (text, "length")
            assert len(choice.logprobs.tokens or []) == len(own)


def test_vectors(client: openai.OpenAI, tiny_encoder: str) -> None:
    made = client.embeddings.create(model="tiny-encoder", input=["a cat", "b"])
    expected = studiolo.load_encoder(tiny_encoder, device="cpu").embed(["a cat", "b"])
    for each, vector in zip(made.data, expected.tolist(), strict=True):
        assert each.embedding == pytest.approx(vector, abs=1e-6)


def test_what_is_wrong_is_named(client: openai.OpenAI, served: Served) -> None:
    with pytest.raises(openai.NotFoundError, match="no model is called 'nobody'"):
        client.chat.completions.create(model="nobody", messages=SAID)
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="tiny", messages=SAID, temperature=-1)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.completions.create(model="tiny", prompt="x", max_tokens=10_000)
    assert (wrong.value.code, wrong.value.param) == ("context_length_exceeded", "max_tokens")
    assert "10,00" in str(wrong.value)
    assert "4,096" in str(wrong.value)
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="tiny", input="x")
    newest = served.entries()[0]
    assert (newest.status, newest.model, newest.dialect) == (400, "tiny", "openai")
    assert wrong.value.response.headers["x-request-id"].startswith("req_")
