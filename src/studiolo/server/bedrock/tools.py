"""The tools that ``Converse`` offers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.dials import Shape
from studiolo.server.bedrock.messages import CachePoint, OneOf
from studiolo.task.asking import Message


class ToolInputSchema(OneOf):
    """``json``: a JSON schema of an object."""

    json_: dict[str, Any] | None = Field(None, alias="json")


class ToolSpecification(Shape):
    """A tool; ``strict``: calls are held to its schema."""

    name: str = Field(min_length=1, max_length=64)
    description: str | None = Field(None, min_length=1)
    input_schema: ToolInputSchema
    strict: bool | None = None


class OfferedTool(OneOf):
    """A tool, or a hint among them."""

    tool_spec: ToolSpecification | None = None
    cache_point: CachePoint | None = None


class Unit(Shape):
    """No member."""


class SpecificTool(Shape):
    """The tool's name."""

    name: str


class ConverseToolChoice(OneOf):
    """``auto``: as the model likes; ``any``: at least one; ``tool``: this one."""

    auto: Unit | None = None
    any: Unit | None = None
    tool: SpecificTool | None = None


class ToolConfiguration(Shape):
    """The tools and which of them to call."""

    tools: list[OfferedTool] = Field(min_length=1, max_length=128)
    tool_choice: ConverseToolChoice | None = None


def offered(configuration: ToolConfiguration | None) -> tuple[Message, ...]:
    """Tools as chat templates know them. Raises :class:`InvalidRequestError`."""
    if configuration is None:
        return ()
    specs = [tool.tool_spec for tool in configuration.tools if tool.tool_spec is not None]
    if not specs:
        raise InvalidRequestError("toolConfig.tools", "holds no toolSpec")
    return tuple({"type": "function", "function": _function(spec)} for spec in specs)


def choice_of(configuration: ToolConfiguration | None) -> str:
    """``auto``, ``required`` or the tool's name."""
    choice = None if configuration is None else configuration.tool_choice
    if choice is None or choice.auto is not None:
        return "auto"
    return "required" if choice.tool is None else choice.tool.name


def _function(spec: ToolSpecification) -> dict[str, Any]:
    function = {
        "name": spec.name,
        "description": spec.description,
        "parameters": spec.input_schema.json_,
        "strict": spec.strict,
    }
    return {name: value for name, value in function.items() if value is not None}
