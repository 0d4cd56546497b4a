"""Titan's native bodies, from any events in any pieces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.titan import TitanText, TitanVectorBody, vector
from studiolo.task.asking import Ended, Piece, TextAsk
from studiolo.task.openai.fields import Head, parse
from tests.server.bedrock.asking import OUTCOME, Said, gathered

HEAD = Head("1", 0, "tiny")
BODY: dict[str, Any] = {"inputText": "the"}


def test_every_field_is_read() -> None:
    config = {"temperature": 0.5, "topP": 0.9, "maxTokenCount": 5, "stopSequences": ["a"]}
    read = TitanText.read({**BODY, "textGenerationConfig": config, "seed": 3}, HEAD)
    options = {"seed": 3, "temperature": 0.5, "top_p": 0.9, "max_tokens": 5, "stop": ["a"]}
    said = [{"role": "user", "content": "the"}]
    assert read.ask == TextAsk(model="tiny", messages=said, options=options)
    assert TitanText.read(BODY, HEAD).ask.options == {}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"dimensions": 256}, "dimensions"),
        ({"textGenerationConfig": {"topK": 1}}, "textGenerationConfig.topK"),
        ({"textGenerationConfig": {"temperature": 1}, "temperature": 2.0}, "temperature"),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        TitanText.read({**BODY, **more}, HEAD)
    assert wrong.value.field == field


ENDS = st.sampled_from(
    [("stop", None, "FINISH"), ("length", None, "LENGTH"), ("stop", ".", "STOP_CRITERIA_MET")]
)


@given(st.lists(st.text(max_size=4), max_size=5), ENDS)
def test_a_stream_says_what_the_whole_says(texts: list[str], end: tuple[Any, Any, str]) -> None:
    reason, stop, expected = end
    answer = Said([*(Piece(0, text) for text in texts), Ended(0, reason, stop)])
    read = TitanText.read(BODY, HEAD)
    whole = asyncio.run(read.whole(answer))
    assert whole["inputTextTokenCount"] == OUTCOME.prompt_tokens
    (result,) = whole["results"]
    assert result == {
        "tokenCount": OUTCOME.completion_tokens,
        "outputText": "".join(texts),
        "completionReason": expected,
    }
    chunks = gathered(read.chunks(answer))
    assert "".join(chunk["outputText"] for chunk in chunks) == result["outputText"]
    assert [c["completionReason"] for c in chunks] == [None] * (len(chunks) - 1) + [expected]
    assert chunks[-1]["totalOutputTextTokenCount"] == OUTCOME.completion_tokens


def test_vectors_have_length_one() -> None:
    body = parse(TitanVectorBody, {**BODY, "normalize": True, "embeddingTypes": ["float"]})
    told = vector(body, torch.tensor([3.0, 4.0]), 5)
    assert told["embedding"] == pytest.approx([0.6, 0.8], abs=1e-7)
    assert told["embeddingsByType"] == {"float": told["embedding"]}
    assert told["inputTextTokenCount"] == 5
    assert vector(body, torch.zeros(2), 5)["embedding"] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"dimensions": 3}, "dimensions"),
        ({"normalize": False}, "normalize"),
        ({"embeddingTypes": ["binary"]}, "embeddingTypes.0"),
        ({"textGenerationConfig": {}}, "textGenerationConfig"),
    ],
)
def test_vectors_are_what_they_are(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        vector(parse(TitanVectorBody, {**BODY, **more}), torch.tensor([3.0, 4.0]), 5)
    assert wrong.value.field == field
    assert len(vector(parse(TitanVectorBody, {**BODY, "dimensions": 2}), torch.ones(2), 1)) == 3
