"""Requests of the Ollama API become what models here are asked."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

import studiolo
from studiolo.errors import ContextOverflowError, InvalidRequestError
from studiolo.server.ollama.asking import NAMES, UNSAID, chat, completion, fitted
from studiolo.server.ollama.bodies import OllamaChatBody, OllamaGenerateBody, OllamaOptions
from studiolo.task.asking import TextAsk
from studiolo.task.openai.fields import parse
from studiolo.task.wording import worded


def generated(**more: Any) -> TextAsk:
    return completion(parse(OllamaGenerateBody, {"model": "m", "prompt": "x", **more}), "m")


def talked(*messages: Any, **more: Any) -> TextAsk:
    return chat(parse(OllamaChatBody, {"model": "m", "messages": messages, **more}), "m")


def fit(lm: Any, ask: TextAsk, **options: Any) -> TextAsk:
    return asyncio.run(fitted(lm, ask, parse(OllamaOptions, options) if options else None))


def test_prompts() -> None:
    assert generated().messages == [{"role": "user", "content": "x"}]
    assert generated(system="s").messages == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "x"},
    ]
    raw = generated(raw=True)
    assert (raw.messages, raw.prompt) == (None, "x")
    infill = generated(suffix="y")
    assert (infill.prompt, infill.suffix) == ("x", "y")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"suffix": "y", "system": "s"}, "system"),
        ({"raw": True, "system": "s"}, "system"),
        ({"top_logprobs": 2}, "top_logprobs"),
    ],
)
def test_what_does_not_go_together(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        generated(**more)
    assert wrong.value.field == field


def test_options_in_our_words() -> None:
    options = {
        "seed": 3,
        "stop": "x",
        "temperature": 0.5,
        "top_k": 3,
        "top_p": 0.5,
        "min_p": 0.1,
        "typical_p": 0.9,
        "repeat_penalty": 1.2,
        "presence_penalty": 1.0,
        "frequency_penalty": 1.0,
        "ignore_eos": True,
    }
    made = generated(options=options, format="json", logprobs=True, top_logprobs=2).options
    expected: dict[str, Any] = {**options, "json_schema": {"type": "object"}, "log_probs": 2}
    expected["repetition_penalty"] = expected.pop("repeat_penalty")
    assert made == expected
    assert generated(format={"type": "integer"}).options == {"json_schema": {"type": "integer"}}
    assert "seed" not in generated(options={"seed": -1}).options


def test_conversations() -> None:
    call = {"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}
    told = {"role": "tool", "content": "1", "tool_name": "f", "tool_call_id": "a"}
    made = talked({"role": "user"}, {"role": "assistant", "tool_calls": [call]}, told)
    function = {"name": "f", "arguments": {"x": 1}}
    assert made.messages == [
        {"role": "user", "content": ""},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "a", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "1", "name": "f", "tool_call_id": "a"},
    ]


@pytest.mark.parametrize(
    ("turn", "field"),
    [
        (
            {"role": "user", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            "messages.0.tool_calls",
        ),
        ({"role": "user", "tool_name": "f"}, "messages.0.tool_name"),
    ],
)
def test_each_speaker_has_its_own(turn: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        talked(turn)
    assert wrong.value.field == field


def test_as_many_tokens_as_there_is_room_for(lm: studiolo.LanguageModel) -> None:
    ask = generated(raw=True)
    read = len(lm.tokenizer.encode("x"))
    assert fit(lm, ask, num_predict=7).options["max_tokens"] == 7
    assert fit(lm, ask, num_ctx=100).options["max_tokens"] == 100 - read
    assert fit(lm, ask, num_ctx=100, num_predict=-1).options["max_tokens"] == 100 - read
    assert fit(lm, ask, num_predict=-2).options["max_tokens"] == lm.config.context - read
    assert fit(lm, ask).options["max_tokens"] == min(UNSAID, lm.config.context - read)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_predict": 0}, r"options\.num_predict: must be 1 or more"),
        ({"num_ctx": 5000}, r"options\.num_ctx: is 5,000, and tiny's context holds 4,096"),
        ({"num_predict": 5000}, r"options\.num_predict: 5,001 tokens are needed .* 4,096"),
        ({"num_ctx": 1}, r"prompt: 2 tokens are needed .* holds 1 "),
    ],
)
def test_no_room_is_told_with_both_numbers(
    lm: studiolo.LanguageModel, options: dict[str, int], words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words), worded(NAMES):
        fit(lm, generated(raw=True), **options)


def test_a_prompt_that_fills_the_context_is_not_cut(lm: studiolo.LanguageModel) -> None:
    with pytest.raises(ContextOverflowError) as wrong:
        fit(lm, TextAsk("m", prompt=[5] * lm.config.context))
    assert wrong.value.limit == lm.config.context


def test_a_model_without_a_template_is_given_the_words_alone(lm: studiolo.LanguageModel) -> None:
    bare: Any = SimpleNamespace(
        name=lm.name,
        config=lm.config,
        prepare=lm.prepare,
        prepare_chat=lm.prepare_chat,
        tokenizer=SimpleNamespace(chat_template=None, encode=lm.tokenizer.encode),
    )
    made = fit(bare, generated())
    assert (made.messages, made.prompt) == (None, "x")
