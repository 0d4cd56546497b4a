"""Control tokens in prompts of native bodies."""

from __future__ import annotations

import asyncio

import pytest

import studiolo
from studiolo.errors import UnknownModelError
from studiolo.server.bedrock.prompts import tokenised
from studiolo.task.asking import TextAsk
from tests.server.serving import Served

PROMPT = "<|user|>the rain<|end|><|assistant|>"


def read(served: Served, ask: TextAsk) -> TextAsk:
    return asyncio.run(tokenised(served.studio, ask))


def test_a_prompt_with_control_tokens(served: Served, lm: studiolo.LanguageModel) -> None:
    ask = read(served, TextAsk(model="tiny", prompt=PROMPT))
    said = [{"role": "user", "content": "the rain"}]
    assert ask.prompt == lm.encode_chat(said) != lm.tokenizer.encode(PROMPT)


def test_what_is_no_prompt_stays(served: Served) -> None:
    for ask in (
        TextAsk(model="tiny", messages=[{"role": "user", "content": PROMPT}]),
        TextAsk(model="tiny", prompt=[1, 2]),
        TextAsk(model="tiny-encoder", prompt=PROMPT),
    ):
        assert read(served, ask) == ask


def test_an_unknown_model(served: Served) -> None:
    with pytest.raises(UnknownModelError):
        read(served, TextAsk(model="nobody", prompt=PROMPT))
