"""What the document says of Anthropic's answers, held against answers and the client's types."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from anthropic.types import Message, MessageTokensCount, TextBlock, ToolUseBlock, Usage
from pydantic import BaseModel

from studiolo.server.anthropic import shapes
from tests.server.anthropic.asking import SAID, WEATHER
from tests.server.serving import Served

CALLED = {"tools": [WEATHER], "tool_choice": {"type": "any"}, "max_tokens": 500, "seed": 7}


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/messages", {"max_tokens": 2}),
        ("/v1/messages", CALLED),
        ("/v1/messages/count_tokens", {}),
    ],
)
def test_answers_have_their_shape(served: Served, path: str, more: dict[str, Any]) -> None:
    answer = served.http().post(path, json={"model": "tiny", "messages": SAID, **more})
    assert answer.status_code == 200, answer.text
    jsonschema.validate(answer.json(), shapes.ANSWERS[f"POST {path}"])


def test_errors_have_theirs(served: Served) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/messages/nowhere"):
        answer = served.http().post(path, json={"x": 1})
        assert answer.status_code >= 400
        jsonschema.validate(answer.json(), shapes.ERROR)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (shapes.MESSAGE, Message),
        (shapes.USAGE, Usage),
        (shapes.TEXT, TextBlock),
        (shapes.TOOL_USE, ToolUseBlock),
        (shapes.COUNT, MessageTokensCount),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_shape_names_fields_that_the_client_knows(
    shape: dict[str, Any], kind: type[BaseModel]
) -> None:
    assert set(shape["properties"]) <= set(kind.model_fields)
    needed = {name for name, field in kind.model_fields.items() if field.is_required()}
    assert needed <= set(shape["required"])
