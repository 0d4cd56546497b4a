"""Other dialects' bodies, as they are on Bedrock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.borrowed import VERSION, ChatCompletions, Messages
from studiolo.task.asking import Ended, Piece, TextAsk
from studiolo.task.openai.fields import Head
from tests.server.bedrock.asking import PLAIN, Said, gathered

HEAD = Head("1", 0, "tiny")
ANSWER = Said([Piece(0, "a"), Piece(0, "b"), Ended(0, "stop")])
MESSAGES: dict[str, Any] = {"anthropic_version": VERSION, "max_tokens": 5, "messages": PLAIN}
CHAT: dict[str, Any] = {"messages": PLAIN, "max_completion_tokens": 5}


def test_messages() -> None:
    read = Messages.read({**MESSAGES, "top_k": 3, "seed": 1}, HEAD)
    options = {"max_tokens": 5, "top_k": 3, "seed": 1}
    assert (read.ask.model, read.ask.messages, read.ask.options) == ("tiny", PLAIN, options)
    whole = asyncio.run(read.whole(ANSWER))
    assert whole["content"] == [{"type": "text", "text": "ab"}]
    assert (whole["id"], whole["model"]) == ("msg_bdrk_1", "tiny")
    kinds = [chunk["type"] for chunk in gathered(read.chunks(ANSWER))]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


def test_chat_completions() -> None:
    read = ChatCompletions.read({**CHAT, "model": "tiny", "seed": 1}, HEAD)
    assert read.ask == TextAsk(model="tiny", messages=PLAIN, options={"max_tokens": 5, "seed": 1})
    whole = asyncio.run(read.whole(ANSWER))
    assert whole["choices"][0]["message"]["content"] == "ab"
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = gathered(ChatCompletions.read({**CHAT, **options}, HEAD).chunks(ANSWER))
    assert chunks[-1]["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"anthropic_version": "2023-06-01"}, "anthropic_version"),
        ({"model": "tiny"}, "model"),
        ({"stream": True}, "stream"),
        ({"anthropic_beta": ["x"]}, "anthropic_beta"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_is_wrong_with_messages_is_named(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        Messages.read({**MESSAGES, **more}, HEAD)
    assert wrong.value.field == field


@pytest.mark.parametrize(
    ("more", "field"), [({"model": "other"}, "model"), ({"audio": {}}, "audio")]
)
def test_what_is_wrong_with_chat_completions_is_named(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        ChatCompletions.read({**CHAT, **more}, HEAD)
    assert wrong.value.field == field
