"""Bodies: what is not known or not possible is refused by its name, whatever it is."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from studiolo.errors import InvalidRequestError
from studiolo.server.anthropic.bodies import MessageBody
from studiolo.task.openai.fields import parse
from tests.server.anthropic.asking import SAID, WEATHER

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 1.5}, "temperature"),
    ({"top_p": -1}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"stop_sequences": [""]}, "stop_sequences.0"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.type"),
    ({"thinking": {"type": "adaptive"}}, "thinking.type"),
    ({"speed": "fast"}, "speed"),
    ({"service_tier": "priority"}, "service_tier"),
    ({"banana": 1}, "banana"),
    ({"container": "x"}, "container"),
    ({"mcp_servers": []}, "mcp_servers"),
    ({"output_config": {"effort": "high"}}, "output_config.effort"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
    ({"tools": [{**WEATHER, "defer_loading": True}]}, "tools.0.defer_loading"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0"),
    ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
]
BLOCKS = ("image", "document", "search_result", "thinking", "server_tool_use", "container_upload")


@pytest.mark.parametrize(("change", "field"), WRONG, ids=[field for _, field in WRONG])
def test_what_is_wrong_is_named(change: dict[str, Any], field: str) -> None:
    body = {"model": "tiny", "max_tokens": 9, "messages": SAID, **change}
    with pytest.raises(InvalidRequestError) as wrong:
        parse(MessageBody, body)
    assert wrong.value.field == field


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_that_are_no_text_are_named(kind: str) -> None:
    turn = {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": kind}]}
    with pytest.raises(InvalidRequestError) as wrong:
        parse(MessageBody, {"model": "tiny", "max_tokens": 9, "messages": [turn]})
    assert wrong.value.field == "messages.0.content.1"
    assert f"'{kind}'" in wrong.value.message


@pytest.mark.parametrize("field", ["model", "max_tokens", "messages"])
def test_what_is_missing_is_named(field: str) -> None:
    body = {"model": "tiny", "max_tokens": 9, "messages": SAID}
    del body[field]
    with pytest.raises(InvalidRequestError, match=f"{field}: is missing"):
        parse(MessageBody, body)


def test_what_asks_for_nothing_is_accepted(client: anthropic.Anthropic) -> None:
    made = client.messages.create(
        model="tiny",
        max_tokens=1,
        messages=SAID,
        metadata={"user_id": "ada"},
        service_tier="standard_only",
        speed="standard",
        thinking={"type": "disabled"},
        cache_control={"type": "ephemeral", "ttl": "1h"},
        container=None,
        diagnostics=None,
        inference_geo=None,
        output_config={"effort": None, "format": None},
    )
    assert made.usage.service_tier == "standard"
