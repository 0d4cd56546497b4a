"""The items that a response is asked with, as the OpenAI API writes them, and as messages.

Source: OpenAI API reference, "Responses". A list of items is flatter than a conversation: a call
of a tool and what it gave stand in it beside the messages. Items that only OpenAI's own tools make
are refused by their type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Message
from studiolo.task.openai.fields import Body, Many
from studiolo.task.openai.messages import arguments_of

Status = Literal["in_progress", "completed", "incomplete"]


class InputText(Body):
    """A part of what is said to the model."""

    type: Literal["input_text"]
    text: str


class OutputText(Body):
    """A part of what the model said; clients send back all that they were given."""

    type: Literal["output_text"]
    text: str
    annotations: Many[Any] | None = Field(None, max_length=0)
    logprobs: Many[Any] | None = None


class Refusal(Body):
    """A part of what another model said; none here makes it."""

    type: Literal["refusal"]
    refusal: str


Part = Annotated[InputText | OutputText | Refusal, Field(discriminator="type")]


class MessageItem(Body):
    """What somebody says."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Many[Part]
    id: str | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class CallItem(Body):
    """A call that the model made; ``arguments``: JSON text."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: Status | None = None
    namespace: None = None
    caller: None = None


class ResultItem(Body):
    """What a called tool gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | Many[InputText]
    id: str | None = None
    status: Status | None = None


def _kind(value: Any) -> str | None:
    if not isinstance(value, dict):
        return getattr(value, "type", None)
    given = value.get("type", "message")
    return given if isinstance(given, str) else None


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[ResultItem, Tag("function_call_output")],
    Discriminator(
        _kind,
        custom_error_type="item",
        custom_error_message="must be an item whose type is message, function_call or "
        "function_call_output",
    ),
]


def conversation(
    given: str | Sequence[MessageItem | CallItem | ResultItem],
    *,
    instructions: str | None,
    before: Sequence[Message] = (),
) -> list[Message]:
    """The messages for a chat template: instructions, what was said ``before``, what is given.

    Raises :class:`InvalidRequestError`.
    """
    messages: list[dict[str, Any]] = [dict(each) for each in before]
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
        given = ()
    called = {
        call["id"]: call["function"]["name"]
        for message in messages
        for call in message.get("tool_calls", ())
    }
    for i, item in enumerate(given):
        if isinstance(item, MessageItem):
            role = "system" if item.role == "developer" else item.role
            messages.append({"role": role, "content": _text(item.content)})
        elif isinstance(item, CallItem):
            called[item.call_id] = item.name
            arguments = arguments_of(item.arguments, f"input.{i}.arguments")
            _add(messages, _call_of(item.call_id, item.name, arguments))
        elif item.call_id not in called:
            raise InvalidRequestError(
                f"input.{i}.call_id", f"{item.call_id!r:.80} is no call that was made before"
            )
        else:
            content = _text(item.output)
            messages.append({"role": "tool", "content": content, "tool_call_id": item.call_id})
    if instructions is not None:
        messages.insert(0, {"role": "system", "content": instructions})
    return list(messages)


def _call_of(id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call as chat templates know it."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _add(messages: list[dict[str, Any]], call: dict[str, Any]) -> None:
    """Put ``call`` into the assistant's message that it is part of."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None, "tool_calls": []})
    messages[-1]["tool_calls"] = [*messages[-1].get("tool_calls", ()), call]


def _text(content: str | Sequence[InputText | OutputText | Refusal]) -> str:
    if isinstance(content, str):
        return content
    return "".join(each.refusal if isinstance(each, Refusal) else each.text for each in content)
