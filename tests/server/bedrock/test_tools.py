"""Tools that are offered, and the choice between them."""

from __future__ import annotations

from typing import Any

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.tools import ToolConfiguration, choice_of, offered
from studiolo.task.openai.fields import parse
from tests.server.bedrock.asking import WEATHER

POINT = {"cachePoint": {"type": "default"}}


def configuration(**more: Any) -> ToolConfiguration:
    return parse(ToolConfiguration, {"tools": [WEATHER, POINT], **more})


def test_tools_are_offered() -> None:
    spec = WEATHER["toolSpec"]
    function = {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": spec["inputSchema"]["json"],
    }
    assert offered(configuration()) == ({"type": "function", "function": function},)
    assert offered(None) == ()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [({"auto": {}}, "auto"), ({"any": {}}, "required"), ({"tool": {"name": "weather"}}, "weather")],
)
def test_choices(choice: dict[str, Any], expected: str) -> None:
    assert choice_of(configuration(toolChoice=choice)) == expected
    assert choice_of(configuration()) == "auto"
    assert choice_of(None) == "auto"


def test_strict_tools() -> None:
    strict = {"toolSpec": {**WEATHER["toolSpec"], "strict": True}}
    (tool,) = offered(configuration(tools=[POINT, strict]))
    assert tool["function"]["strict"] is True  # type: ignore[index]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"tools": []}, "tools"),
        ({"tools": [{"systemTool": {"name": "search"}}]}, "tools.0.systemTool"),
        ({"tools": [{"toolSpec": {"name": "x"}}]}, "tools.0.toolSpec.inputSchema"),
        ({"tools": [POINT]}, "toolConfig.tools"),
        ({"toolChoice": {}}, "toolChoice"),
        ({"toolChoice": {"auto": {"x": 1}}}, "toolChoice.auto.x"),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        offered(configuration(**more))
    assert wrong.value.field == field
