"""A conversation and its tools as the OpenAI API writes them, and as chat templates know them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Called, Message
from studiolo.task.openai.fields import Body, Many


class TextPart(Body):
    """A part of a message that is text, the only kind that models here read."""

    type: Literal["text"]
    text: str


Content = str | Many[TextPart]


class FunctionCall(Body):
    """``arguments``: JSON text."""

    name: str
    arguments: str


class Call(Body):
    """A call that the assistant made."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class Said(Body):
    """What the system, its developer or the user says."""

    role: Literal["system", "developer", "user"]
    content: Content
    name: str | None = None


class Answered(Body):
    """What the assistant said; clients send back all that they were given."""

    role: Literal["assistant"]
    content: Content | None = None
    name: str | None = None
    tool_calls: Many[Call] | None = Field(None, max_length=128)
    refusal: None = None
    annotations: list[Any] | None = Field(None, max_length=0)
    audio: None = None
    function_call: None = None


class ToolResult(Body):
    """What a called tool gave; many clients say its ``name`` too."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str
    name: str | None = None


Turn = Annotated[Said | Answered | ToolResult, Field(discriminator="role")]


class Function(Body):
    """``parameters``: a JSON schema of an object; ``strict``: calls are held to it."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Body):
    """A function that the model may call."""

    type: Literal["function"]
    function: Function


class Named(Body):
    """The name of a function."""

    name: str


class NamedTool(Body):
    """That function, and no other."""

    type: Literal["function"]
    function: Named


ToolChoice = Literal["none", "auto", "required"] | NamedTool


def conversation(turns: Sequence[Said | Answered | ToolResult]) -> list[Message]:
    """The messages for a chat template. Raises :class:`InvalidRequestError`."""
    return [_message(turn, i) for i, turn in enumerate(turns)]


def _message(turn: Said | Answered | ToolResult, place: int) -> Message:
    message: dict[str, object] = {"role": turn.role, "content": text_of(turn.content)}
    if turn.role == "developer":  # the newer name of the same
        message["role"] = "system"
    if turn.name is not None:
        message["name"] = turn.name
    if isinstance(turn, ToolResult):
        message["tool_call_id"] = turn.tool_call_id
    if isinstance(turn, Answered):
        if turn.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": call.function.name,
                        "arguments": arguments_of(
                            call.function.arguments,
                            f"messages.{place}.tool_calls.{i}.function.arguments",
                        ),
                    },
                }
                for i, call in enumerate(turn.tool_calls)
            ]
        elif turn.content is None:
            raise InvalidRequestError(
                f"messages.{place}.content", "is missing, and there are no tool_calls either"
            )
    return message


def text_of(content: Content | None) -> str | None:
    """The text of a message, its parts joined."""
    if content is None or isinstance(content, str):
        return content
    return "".join(part.text for part in content)


def arguments_of(text: str, field: str) -> dict[str, Any]:
    """The arguments of a call, which are an object in JSON."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequestError(field, "is not a JSON object")
    return value


def offered(tools: Sequence[Tool] | None) -> tuple[Message, ...]:
    """Tools as chat templates know them."""
    return tuple(tool.model_dump(exclude_none=True) for tool in tools or ())


def choice_of(choice: ToolChoice | None) -> str:
    """``auto``, ``none``, ``required`` or the tool's name."""
    return choice.function.name if isinstance(choice, NamedTool) else choice or "auto"


def written_call(called: Called) -> dict[str, Any]:
    """A call as answers hold it."""
    arguments = json.dumps(called.call.arguments, ensure_ascii=False)
    function = {"name": called.call.name, "arguments": arguments}
    return {"id": called.id, "type": "function", "function": function}
