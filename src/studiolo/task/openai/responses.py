"""``/v1/responses``: items in, items out. What is asked; ``responses_events`` writes the answer.

Source: OpenAI API reference, "Responses". Tools are functions of the client's own; what only
OpenAI's service has (its tools, prompts and conversations, work in the background, reasoning) is
refused by name, and truncation too: nothing is left out in silence. ``seed``, ``ignore_eos``,
``receipt``, the other dials and the constraints are our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Message, TextAsk
from studiolo.task.openai.fields import (
    MAX_TOP,
    AskingBody,
    Body,
    JsonObject,
    JsonSchema,
    Many,
    TextFormat,
    constraint,
)
from studiolo.task.openai.messages import Named
from studiolo.task.openai.responses_items import Item, conversation

LOGPROBS = "message.output_text.logprobs"
Includable = Literal[
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
]
"""All but the first are of items that no answer here has."""


class FunctionTool(Body):
    """A function that the model may call; ``strict`` or not, calls are held to ``parameters``."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedFunction(Named):
    """That function, and no other."""

    type: Literal["function"]


class SchemaFormat(JsonSchema):
    """JSON of one schema."""

    type: Literal["json_schema"]


class TextOptions(Body):
    """What the text is to be."""

    format: (
        Annotated[TextFormat | JsonObject | SchemaFormat, Field(discriminator="type")] | None
    ) = None
    verbosity: Literal["medium"] | None = None


class Reasoning(Body):
    """None: models here have no thoughts apart from their text."""

    effort: Literal["none"] | None = None
    summary: None = None


class StreamPadding(Body):
    """Nothing is padded here."""

    include_obfuscation: Literal[False] | None = None


class ResponseBody(AskingBody):
    """The body of a request."""

    input: str | Annotated[Many[Item], Field(min_length=1, max_length=10_000)]
    instructions: str | None = None
    previous_response_id: str | None = Field(None, max_length=64)
    max_output_tokens: int | None = Field(None, ge=1)
    tools: Many[FunctionTool] | None = Field(None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | NamedFunction | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP)
    include: Many[Includable] | None = None
    metadata: dict[str, str] | None = Field(None, max_length=16)
    store: bool | None = None
    stream_options: StreamPadding | None = None
    truncation: Literal["disabled"] | None = None
    background: Literal[False] | None = None
    reasoning: Reasoning | None = None
    max_tool_calls: int | None = Field(None, ge=1)
    service_tier: Literal["auto", "default"] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    access_programs: None = None
    background_options: None = None
    context_management: None = None
    conversation: None = None
    image: None = None
    moderation: None = None
    prompt: None = None
    prompt_cache_options: None = None
    prompt_cache_retention: None = None

    @property
    def scored(self) -> bool:
        """Whether log-probabilities are asked for."""
        return LOGPROBS in (self.include or ())


def ask(body: ResponseBody, model: str, before: Sequence[Message] = ()) -> TextAsk:
    """What ``body`` asks of ``model``, after the messages ``before``.

    Raises :class:`InvalidRequestError`.
    """
    options = body.given()
    if body.text is not None:
        options |= constraint(options, "text.format", body.text.format)
    if body.max_output_tokens is not None:
        options["max_tokens"] = body.max_output_tokens
    if body.top_logprobs and not body.scored:
        raise InvalidRequestError("top_logprobs", f"needs include to hold {LOGPROBS}")
    if body.scored:
        options["log_probs"] = body.top_logprobs or 0
    choice = body.tool_choice
    chosen = choice.name if isinstance(choice, NamedFunction) else choice or "auto"
    if chosen not in ("auto", "none") and not body.tools:
        raise InvalidRequestError("tool_choice", "needs tools to choose from")
    return TextAsk(
        model=model,
        messages=conversation(body.input, instructions=body.instructions, before=before),
        tools=tuple(_offered(tool) for tool in body.tools or ()),
        tool_choice=chosen,
        parallel=body.parallel_tool_calls is not False,
        options=options,
    )


def names(body: ResponseBody) -> dict[str, str]:
    """What ``body`` calls the options that errors below name otherwise."""
    found = {"max_tokens": "max_output_tokens", "log_probs": "include"}
    found |= {"prompt": "input", "messages": "input"}
    if body.text is not None and body.text.format is not None:
        found["json_schema"] = "text.format"
    return found


def items(body: ResponseBody, id: str) -> list[dict[str, Any]]:
    """What the body was asked with, as ``/input_items`` shows it; ``id``: of the request."""
    given: list[dict[str, Any]]
    if isinstance(body.input, str):
        given = [{"type": "message", "role": "user", "content": body.input}]
    else:
        given = [item.model_dump(exclude_none=True) for item in body.input]
    for place, item in enumerate(given):
        if isinstance(item.get("content"), str):
            part = "output_text" if item["role"] == "assistant" else "input_text"
            item["content"] = [{"type": part, "text": item["content"]}]
        item["id"] = item.get("id") or f"{_PREFIXES[item['type']]}_{id}_in{place}"
        item["status"] = item.get("status") or "completed"
    return given


_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco"}


def echoed(body: ResponseBody) -> Mapping[str, Any]:
    """The fields of an answer that say again what was asked; what was left open is null."""
    choice, dials = body.tool_choice, body.given()
    written = body.text.format if body.text is not None else None
    return {
        "background": False,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "temperature": dials.get("temperature"),
        "text": {
            "format": {"type": "text"}
            if written is None
            else written.model_dump(by_alias=True, exclude_none=True),
            "verbosity": "medium",
        },
        "tool_choice": choice.model_dump()
        if isinstance(choice, NamedFunction)
        else choice or "auto",
        "tools": [
            {"strict": None, "parameters": None, **tool.model_dump(exclude_none=True)}
            for tool in body.tools or ()
        ],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": dials.get("top_p"),
        "truncation": "disabled",
        "user": body.user,
    }


def _offered(tool: FunctionTool) -> Message:
    """As chat templates know it."""
    inner = tool.model_dump(exclude_none=True, exclude={"type"})
    return {"type": "function", "function": inner}
