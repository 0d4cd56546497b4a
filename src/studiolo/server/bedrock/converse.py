"""``Converse``: a conversation in, an answer out, whole or as the events of a stream.

Source: Amazon Bedrock API Reference, "Converse", "ConverseStream". What those have and a model here
has not (pictures, documents, guardrails, prompt resources, reasoning …) is refused by name; what
changes nothing here (a tier, a latency, metadata) is accepted where its value asks for nothing.

``inputTokens`` are those that had to be read, ``cacheReadInputTokens`` those that were known; the
total holds both. Nothing is ever charged for keeping, so ``cacheWriteInputTokens`` is 0.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock import framing
from studiolo.server.bedrock.dials import OwnDials, Shape, joined
from studiolo.server.bedrock.messages import ConverseMessage, OneOf, SystemBlock, conversation
from studiolo.server.bedrock.names import MODEL
from studiolo.server.bedrock.tools import ToolConfiguration, choice_of, offered
from studiolo.task.asking import Answer, Called, Choice, Ended, Outcome, Piece, TextAsk

REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
EXTRA = "additionalModelRequestFields."
NAMES = {
    **MODEL,
    "max_tokens": "inferenceConfig.maxTokens",
    "stop": "inferenceConfig.stopSequences",
    "tools": "toolConfig.tools",
    "tool_choice": "toolConfig.toolChoice",
    "json_schema": "outputConfig.textFormat",
}
"""What Bedrock calls our options."""


class InferenceConfiguration(Shape):
    """The dials that every model has."""

    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, ge=0, le=1)
    stop_sequences: list[Annotated[str, Field(min_length=1)]] | None = Field(None, max_length=2500)


class StandardLatency(Shape):
    """There is one."""

    latency: Literal["standard"] | None = None


class DefaultTier(Shape):
    """There is one."""

    type: Literal["default"]


class JsonSchemaDefinition(Shape):
    """``schema``: in JSON text."""

    schema_: str = Field(alias="schema")
    name: str | None = None
    description: str | None = None


class OutputStructure(OneOf):
    """What a text must be."""

    json_schema: JsonSchemaDefinition | None = None


class OutputFormat(Shape):
    """JSON of one schema; always enforced to the letter."""

    type: Literal["json_schema"]
    structure: OutputStructure


class OutputConfiguration(Shape):
    """What an answer must be."""

    text_format: OutputFormat | None = None


class ConversePrompt(Shape):
    """All that makes a prompt."""

    messages: list[ConverseMessage] = Field(min_length=1)
    system: list[SystemBlock] | None = None
    tool_config: ToolConfiguration | None = None
    additional_model_request_fields: OwnDials | None = None


class ConverseBody(ConversePrompt):
    """The body of a request."""

    inference_config: InferenceConfiguration | None = None
    output_config: OutputConfiguration | None = None
    additional_model_response_field_paths: list[Literal["/stop_sequence"]] | None = Field(
        None, max_length=10
    )
    request_metadata: dict[str, str] | None = Field(None, max_length=16)
    performance_config: StandardLatency | None = None
    service_tier: DefaultTier | None = None
    project_identifier: Literal["default"] | None = None


def ask(body: ConversePrompt, model: str) -> TextAsk:
    """What ``body`` asks of ``model``. Raises :class:`InvalidRequestError`."""
    messages = conversation(body.system, body.messages)
    last = messages[-1]
    if last["role"] == "assistant" and str(last["content"])[-1:].isspace():
        raise InvalidRequestError(
            f"messages.{len(body.messages) - 1}.content",
            "an answer cannot be begun with white space at its end",
        )
    return TextAsk(
        model=model,
        messages=messages,
        tools=offered(body.tool_config),
        tool_choice=choice_of(body.tool_config),
        options=_options(body) if isinstance(body, ConverseBody) else {},
    )


def whole(body: ConverseBody, choices: Sequence[Choice], outcome: Outcome) -> dict[str, Any]:
    """The body of an answer that is complete."""
    choice = choices[0]
    content: list[dict[str, Any]] = [{"text": choice.text}] if choice.text else []
    content += [
        {"toolUse": {**_use(called), "input": called.call.arguments}} for called in choice.calls
    ]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        **_end(body, Ended(0, choice.reason, choice.stop)),
        **_metadata(outcome),
    }


async def events(body: ConverseBody, answer: Answer) -> AsyncIterator[bytes]:
    """The events of an answer as it comes; a block of text begins with its first piece."""
    yield framing.event("messageStart", {"role": "assistant"})
    index, writing = 0, False
    end = Ended(0, "stop")
    async for event in answer:
        match event:
            case Piece(text=text) if text:
                writing = True
                yield _of_block("contentBlockDelta", index, delta={"text": text})
            case Called():
                if writing:
                    yield _of_block("contentBlockStop", index)
                    index, writing = index + 1, False
                arguments = json.dumps(event.call.arguments, ensure_ascii=False)
                yield _of_block("contentBlockStart", index, start={"toolUse": _use(event)})
                yield _of_block("contentBlockDelta", index, delta={"toolUse": {"input": arguments}})
                yield _of_block("contentBlockStop", index)
                index += 1
            case Ended():
                end = event
    if writing:
        yield _of_block("contentBlockStop", index)
    yield framing.event("messageStop", _end(body, end))
    yield framing.event("metadata", _metadata(answer.outcome))


def _options(body: ConverseBody) -> dict[str, Any]:
    """Those of :meth:`LanguageModel.prepare`."""
    extra, config = body.additional_model_request_fields, body.inference_config
    form = None if body.output_config is None else body.output_config.text_format
    schema = None if form is None else form.structure.json_schema
    theirs = {
        "max_tokens": config and config.max_tokens,
        "temperature": config and config.temperature,
        "top_p": config and config.top_p,
        "stop": config and config.stop_sequences,
        "json_schema": schema and schema.schema_,
    }
    return joined({} if extra is None else extra.options(), theirs, EXTRA)


def _use(called: Called) -> dict[str, Any]:
    return {"toolUseId": f"tooluse_{called.id.removeprefix('call_')}", "name": called.call.name}


def _of_block(kind: str, index: int, **more: Any) -> bytes:
    return framing.event(kind, {"contentBlockIndex": index, **more})


def _end(body: ConverseBody, end: Ended) -> dict[str, Any]:
    stopped = end.stop is not None and end.reason == "stop"
    told: dict[str, Any] = {"stopReason": "stop_sequence" if stopped else REASONS[end.reason]}
    if body.additional_model_response_field_paths:
        told["additionalModelResponseFields"] = {"stop_sequence": end.stop}
    return told


def _metadata(outcome: Outcome) -> dict[str, Any]:
    usage = {
        "inputTokens": outcome.prompt_tokens - outcome.cached_tokens,
        "outputTokens": outcome.completion_tokens,
        "totalTokens": outcome.prompt_tokens + outcome.completion_tokens,
        "cacheReadInputTokens": outcome.cached_tokens,
        "cacheWriteInputTokens": 0,
    }
    return {"usage": usage, "metrics": {"latencyMs": round(outcome.seconds * 1000)}}
