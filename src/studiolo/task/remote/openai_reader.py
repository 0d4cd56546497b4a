"""What a model elsewhere tells in the OpenAI API's chunks, as events.

Thinking that is told apart from the answer is not passed on. Source: OpenAI API reference, "Chat
Completions: streaming", "Completions".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from studiolo.errors import UpstreamError
from studiolo.modality.text.tools import ToolCall
from studiolo.task.asking import Called, Ended, Event, Piece, Reason, Scored, Spelled, TextAsk
from studiolo.task.remote.sse import ServerEvent
from studiolo.task.remote.wire import Tally, Told, TroubleError, told

REASONS: Mapping[str, Reason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
DONE = "[DONE]"


class _Function(Told):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(Told):
    index: int | None = Field(None, ge=0, lt=1024)
    id: str | None = None
    function: _Function | None = None


class _Delta(Told):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_CallDelta] | None = None


class _Token(Told):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _ScoredToken(_Token):
    top_logprobs: list[_Token] | None = None


class _LogProbs(Told):
    """Of chat completions ``content``, of completions the rest."""

    content: list[_ScoredToken] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class _Choice(Told):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    logprobs: _LogProbs | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None  # vLLM's: the stop string


class _PromptDetails(Told):
    cached_tokens: int | None = Field(None, ge=0)


class _Usage(Told):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(0, ge=0)
    prompt_tokens_details: _PromptDetails | None = None


class _Error(Told):
    message: str = ""
    type: str | None = None
    code: str | int | None = None


class _Chunk(Told):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    system_fingerprint: str | None = None
    error: _Error | str | None = None


class _Sample:
    """One of the samples, as far as it is told."""

    def __init__(self) -> None:
        self.calls: list[dict[str, str]] = []
        self.places: dict[int, int] = {}
        self.ended = False

    def hear(self, delta: _CallDelta) -> None:
        """A part of a call. Those without an index go on with the last, or begin with an id."""
        if delta.index is None:
            new = delta.id is not None or not self.calls
            place = len(self.calls) if new else len(self.calls) - 1
        else:
            place = self.places.setdefault(delta.index, len(self.calls))
        if place == len(self.calls):
            self.calls.append({"id": "", "name": "", "arguments": ""})
        call, function = self.calls[place], delta.function or _Function()
        call["id"] = call["id"] or delta.id or ""
        call["name"] += function.name or ""
        call["arguments"] += function.arguments or ""


class OpenAIReader:
    """As :class:`studiolo.task.remote.wire.Reader`."""

    def __init__(self, ask: TextAsk) -> None:
        self.tally, self.fingerprint = Tally(), ""
        self._samples = [_Sample() for _ in range(ask.options.get("n") or 1)]

    @property
    def complete(self) -> bool:
        """Whether every sample has ended."""
        return all(sample.ended for sample in self._samples)

    def read(self, event: ServerEvent) -> list[Event]:
        """The events of a chunk."""
        if event.data == DONE:
            return []
        chunk = told(_Chunk, event)
        if chunk.error is not None:
            error = chunk.error if isinstance(chunk.error, _Error) else _Error(message=chunk.error)
            raise TroubleError(str(error.type or error.code or "error"), error.message)
        self.fingerprint = chunk.system_fingerprint or self.fingerprint
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details or _PromptDetails()
            self.tally = Tally(
                chunk.usage.prompt_tokens,
                details.cached_tokens or 0,
                chunk.usage.completion_tokens,
            )
        return [made for choice in chunk.choices or () for made in self._heard(choice)]

    def _heard(self, choice: _Choice) -> list[Event]:
        if not 0 <= choice.index < len(self._samples):
            raise UpstreamError(f"it told of a sample {choice.index:,} that nobody asked for")
        sample, delta = self._samples[choice.index], choice.delta or _Delta()
        text = (choice.text or "") + (delta.content or "") + (delta.refusal or "")
        scores = tuple(_scores(choice.logprobs)) if choice.logprobs is not None else ()
        if sample.ended:
            if text or delta.tool_calls:
                raise UpstreamError("it went on after it had ended")
            return []
        for part in delta.tool_calls or ():
            sample.hear(part)
        events: list[Event] = [Piece(choice.index, text, scores)] if text or scores else []
        if choice.finish_reason:
            sample.ended = True
            events += _ends(choice, sample)
        return events


def _ends(choice: _Choice, sample: _Sample) -> list[Event]:
    """The calls of a sample, which are whole now, and its end."""
    reason = REASONS.get(choice.finish_reason or "")
    if reason is None:
        raise UpstreamError(f"it withheld the rest of its answer ({choice.finish_reason!r:.60})")
    events: list[Event] = []
    for place, call in enumerate(sample.calls):
        arguments = object_of(call["arguments"])
        if arguments is None or not call["name"]:
            if reason != "length":
                raise UpstreamError("it called a tool with arguments that are no JSON object")
            return [*events, Piece(choice.index, call["arguments"]), Ended(choice.index, reason)]
        called = ToolCall(call["name"], arguments)
        events.append(Called(choice.index, place, call["id"] or f"call_{place}", called))
    if sample.calls:
        return [*events, Ended(choice.index, "tool_calls")]
    stop = choice.stop_reason if isinstance(choice.stop_reason, str) else None
    return [Ended(choice.index, "stop" if reason == "tool_calls" else reason, stop)]


def object_of(text: str) -> dict[str, Any] | None:
    """The JSON object that ``text`` is, empty if it is empty; None if it is another thing."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _scores(found: _LogProbs) -> list[Scored]:
    if found.content is not None:
        return [
            Scored(*_spelled(each), tuple(Spelled(*_spelled(t)) for t in each.top_logprobs or ()))
            for each in found.content
        ]
    tokens: Sequence[str] = found.tokens or ()
    numbers = found.token_logprobs or [None] * len(tokens)
    tops = found.top_logprobs or [None] * len(tokens)
    if not len(tokens) == len(numbers) == len(tops):
        raise UpstreamError("its tokens and their log-probabilities do not match")
    return [
        Scored(
            *_plain(token, number or 0.0),
            tuple(Spelled(*_plain(*each)) for each in (top or {}).items()),
        )
        for token, number, top in zip(tokens, numbers, tops, strict=True)
    ]


def _spelled(token: _Token) -> tuple[str, bytes | None, float]:
    try:
        spelled = None if token.bytes is None else bytes(token.bytes)
    except ValueError:
        raise UpstreamError("it told of bytes that are none") from None
    return token.token, spelled, token.logprob


def _plain(token: str, number: float) -> tuple[str, bytes | None, float]:
    """Completions tell no bytes; a part of a character is spelled ``bytes:\\xe2`` or so."""
    is_text = not token.startswith("bytes:") and "\ufffd" not in token
    return token, token.encode("utf-8", "replace") if is_text else None, number
