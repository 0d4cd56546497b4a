"""Models elsewhere that speak Anthropic's Messages API.

Answers are streamed. That API has no seed, no log-probabilities, no second sample and no prompts
without a conversation; whoever asks for those is refused by name. Thinking is not passed on.
Source: Anthropic API reference, "Messages", "Streaming messages", version 2023-06-01.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from studiolo.errors import InvalidRequestError, UpstreamError
from studiolo.modality.text.tools import ToolCall
from studiolo.task.asking import Called, Ended, Event, Message, Piece, Reason, TextAsk
from studiolo.task.remote.messages import for_anthropic
from studiolo.task.remote.settings import Remote
from studiolo.task.remote.sse import ServerEvent
from studiolo.task.remote.wire import Reader, Tally, Told, TroubleError, sendable, told

VERSION = "2023-06-01"
MAX_TOKENS = 4096
"""Where nobody says how many; the API wants a number."""
PASSED = ("temperature", "top_p", "top_k", "max_tokens")
KNOWN = (*PASSED, "stop", "json_schema")
REASONS: Mapping[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}


class AnthropicWire:
    """As :class:`studiolo.task.remote.wire.Wire`."""

    def headers(self, key: str | None) -> dict[str, str]:
        """The key and the version of the API."""
        found = {"anthropic-version": VERSION}
        return found if key is None else {**found, "x-api-key": key}

    def request(self, ask: TextAsk, remote: Remote) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        if ask.messages is None:
            raise InvalidRequestError("prompt", f"{ask.model}, elsewhere, takes conversations only")
        if ask.begun:
            raise InvalidRequestError("begun", f"{ask.model} is elsewhere, and begins anew")
        options = sendable(ask.options, KNOWN, ask.model)
        system, turns = for_anthropic(ask.messages)
        body: dict[str, Any] = {
            "model": remote.model,
            "max_tokens": MAX_TOKENS,
            "messages": turns,
            "stream": True,
            **{name: options[name] for name in PASSED if name in options},
        }
        if system:
            body["system"] = system
        if stop := options.get("stop"):
            body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
        if "json_schema" in options:
            schema = options["json_schema"]
            if not isinstance(schema, Mapping):
                raise InvalidRequestError("json_schema", "must be an object for a model elsewhere")
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        if ask.tools:
            body["tools"] = [_tool(tool) for tool in ask.tools]
            body["tool_choice"] = _choice(ask)
        return "/messages", body

    def reader(self, ask: TextAsk) -> Reader:
        """For the answer to that request."""
        return AnthropicReader()


def _tool(tool: Message) -> dict[str, Any]:
    function = tool["function"]
    if not isinstance(function, Mapping):
        raise InvalidRequestError("tools", "one has no function")
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    found = {"name": function["name"], "input_schema": schema}
    for name in ("description", "strict"):
        if function.get(name) is not None:
            found[name] = function[name]
    return found


def _choice(ask: TextAsk) -> dict[str, Any]:
    if ask.tool_choice == "none":
        return {"type": "none"}
    kinds = {"auto": {"type": "auto"}, "required": {"type": "any"}}
    choice: dict[str, Any] = {**kinds.get(ask.tool_choice, {"type": "tool"})}
    if choice["type"] == "tool":
        choice["name"] = ask.tool_choice
    if not ask.parallel:
        choice["disable_parallel_tool_use"] = True
    return choice


class _Usage(Told):
    input_tokens: int | None = Field(None, ge=0)
    output_tokens: int | None = Field(None, ge=0)
    cache_creation_input_tokens: int | None = Field(None, ge=0)
    cache_read_input_tokens: int | None = Field(None, ge=0)


class _Message(Told):
    usage: _Usage = _Usage()


class _Block(Told):
    type: str
    text: str | None = None
    id: str = ""
    name: str = ""
    input: dict[str, Any] | None = None


class _Delta(Told):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Error(Told):
    type: str = "error"
    message: str = ""


class _Told(Told):
    """Any event of the stream."""

    type: str
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: _Error | None = None


class AnthropicReader:
    """As :class:`studiolo.task.remote.wire.Reader`."""

    def __init__(self) -> None:
        self.tally, self.fingerprint, self.complete = Tally(), "", False
        self._block = _Block(type="none")
        self._arguments = ""
        self._called = 0
        self._end: Ended | None = None

    def read(self, event: ServerEvent) -> list[Event]:
        """What an event of the stream tells; kinds that are not known are passed over."""
        said = told(_Told, event)
        match said.type:
            case "error":
                error = said.error or _Error()
                raise TroubleError(error.type, error.message)
            case "message_start" if said.message is not None:
                self._count(said.message.usage)
            case "content_block_start" if said.content_block is not None:
                self._block, self._arguments = said.content_block, ""
                return _piece(self._block.text) if self._block.type == "text" else []
            case "content_block_delta" if said.delta is not None:
                self._arguments += said.delta.partial_json or ""
                return _piece(said.delta.text) if said.delta.type == "text_delta" else []
            case "content_block_stop" if self._block.type == "tool_use":
                return self._call()
            case "message_delta":
                self._count(said.usage or _Usage())
                self._finish(said.delta or _Delta())
            case "message_stop":
                if self._end is None:
                    raise UpstreamError("it ended without a reason")
                self.complete = True
                return [self._end]
        return []

    def _count(self, usage: _Usage) -> None:
        if usage.input_tokens is not None:
            self.tally.cached = usage.cache_read_input_tokens or 0
            written = usage.cache_creation_input_tokens or 0
            self.tally.prompt = usage.input_tokens + self.tally.cached + written
        if usage.output_tokens is not None:
            self.tally.completion = usage.output_tokens

    def _call(self) -> list[Event]:
        block, self._block = self._block, _Block(type="none")
        try:
            arguments = json.loads(self._arguments) if self._arguments else block.input or {}
        except (ValueError, RecursionError):
            arguments = None
        if not isinstance(arguments, dict) or not block.name:
            # Cut off in the middle: shown as it is, like a call that a model here does not finish.
            return _piece(self._arguments)
        place, self._called = self._called, self._called + 1
        id = block.id or f"call_{place}"
        return [Called(0, place, id, ToolCall(block.name, arguments))]

    def _finish(self, delta: _Delta) -> None:
        if delta.stop_reason is None:
            return
        reason = REASONS.get(delta.stop_reason)
        if reason is None:
            raise UpstreamError(f"it withheld the rest of its answer ({delta.stop_reason!r:.60})")
        if self._called:
            reason = "tool_calls"
        elif reason == "tool_calls":
            raise UpstreamError("it called a tool with arguments that are no JSON object")
        self._end = Ended(0, reason, delta.stop_sequence)


def _piece(text: str | None) -> list[Event]:
    return [Piece(0, text)] if text else []
