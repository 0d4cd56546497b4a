"""Llama's native body, from any events in any pieces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.llama import Llama
from studiolo.task.asking import Ended, Piece, TextAsk
from studiolo.task.openai.fields import Head
from tests.server.bedrock.asking import OUTCOME, Said, gathered

HEAD = Head("1", 0, "tiny")
BODY: dict[str, Any] = {"prompt": "the", "max_gen_len": 5}


def test_every_field_is_read() -> None:
    read = Llama.read({**BODY, "temperature": 0.5, "top_p": 0.9, "seed": 3}, HEAD)
    options = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "max_tokens": 5}
    assert read.ask == TextAsk(model="tiny", prompt="the", options=options)


@pytest.mark.parametrize(
    ("more", "field"),
    [({"images": ["x"]}, "images"), ({"max_gen_len": 0}, "max_gen_len"), ({"prompt": 1}, "prompt")],
)
def test_what_is_wrong_is_named(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        Llama.read({**BODY, **more}, HEAD)
    assert wrong.value.field == field


@given(st.lists(st.text(max_size=4), max_size=5), st.sampled_from(["stop", "length"]))
def test_a_stream_says_what_the_whole_says(texts: list[str], reason: Any) -> None:
    answer = Said([*(Piece(0, text) for text in texts), Ended(0, reason)])
    read = Llama.read(BODY, HEAD)
    whole = asyncio.run(read.whole(answer))
    assert whole == {
        "generation": "".join(texts),
        "prompt_token_count": OUTCOME.prompt_tokens,
        "generation_token_count": OUTCOME.completion_tokens,
        "stop_reason": reason,
    }
    chunks = gathered(read.chunks(answer))
    assert "".join(chunk["generation"] for chunk in chunks) == whole["generation"]
    assert [c["stop_reason"] for c in chunks] == [None] * (len(chunks) - 1) + [reason]
    for name in ("prompt_token_count", "generation_token_count"):
        assert [c[name] for c in chunks if c[name] is not None] == [whole[name]]
