"""Mistral's native body, from any events in any pieces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.mistral import Mistral
from studiolo.task.asking import Ended, Piece, TextAsk
from studiolo.task.openai.fields import Head
from tests.server.bedrock.asking import Said, gathered

HEAD = Head("1", 0, "tiny")
BODY: dict[str, Any] = {"prompt": "the", "max_tokens": 5}


def test_every_field_is_read() -> None:
    read = Mistral.read({**BODY, "top_k": 4, "stop": ["a"], "ignore_eos": True}, HEAD)
    options = {"top_k": 4, "ignore_eos": True, "max_tokens": 5, "stop": ["a"]}
    assert read.ask == TextAsk(model="tiny", prompt="the", options=options)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"safe_prompt": True}, "safe_prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": "a"}, "stop"),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        Mistral.read({**BODY, **more}, HEAD)
    assert wrong.value.field == field


@given(st.lists(st.text(max_size=4), max_size=5), st.sampled_from(["stop", "length"]))
def test_a_stream_says_what_the_whole_says(texts: list[str], reason: Any) -> None:
    answer = Said([*(Piece(0, text) for text in texts), Ended(0, reason)])
    read = Mistral.read(BODY, HEAD)
    whole = asyncio.run(read.whole(answer))
    assert whole == {"outputs": [{"text": "".join(texts), "stop_reason": reason}]}
    outputs = [chunk["outputs"][0] for chunk in gathered(read.chunks(answer))]
    assert "".join(output["text"] for output in outputs) == whole["outputs"][0]["text"]
    assert [o["stop_reason"] for o in outputs] == [None] * (len(outputs) - 1) + [reason]
