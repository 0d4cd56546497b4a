"""``/v1/chat/completions``: a conversation in, an answer out, whole or in chunks.

Source: OpenAI API reference, "Chat Completions". What that has and a model here has not (pictures,
sound, web search, prediction …) is refused by name; what changes nothing here (``service_tier``,
``prompt_cache_key`` …) is accepted where its value asks for nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from pydantic import Field

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Answer, Called, Choice, Ended, Outcome, Piece, TextAsk, collect
from studiolo.task.openai.fields import MAX_TOP, Head, Many, TextBody, receipt_of, scores
from studiolo.task.openai.messages import (
    Tool,
    ToolChoice,
    Turn,
    choice_of,
    conversation,
    offered,
    written_call,
)


class ChatBody(TextBody):
    """The body of a request."""

    messages: Many[Turn] = Field(min_length=1, max_length=10_000)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP)
    tools: Many[Tool] | None = Field(None, max_length=128)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] | None = Field(None, max_length=16)
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    modalities: Many[Literal["text"]] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    reasoning_effort: Literal["none"] | None = None
    verbosity: Literal["medium"] | None = None
    audio: None = None
    function_call: None = None
    functions: None = None
    moderation: None = None
    prediction: None = None
    prompt_cache_options: None = None
    prompt_cache_retention: None = None
    web_search_options: None = None


def ask(body: ChatBody, model: str) -> TextAsk:
    """What ``body`` asks of ``model``. Raises :class:`InvalidRequestError`."""
    options = body.options()
    if body.max_completion_tokens is not None:
        if "max_tokens" in options:
            raise InvalidRequestError("max_tokens", "is given twice, by its old name and its new")
        options["max_tokens"] = body.max_completion_tokens
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequestError("top_logprobs", "needs logprobs to be true")
    if body.logprobs:
        options["log_probs"] = body.top_logprobs or 0
    choice = choice_of(body.tool_choice)
    if body.tool_choice is not None and choice != "none" and not body.tools:
        raise InvalidRequestError("tool_choice", "needs tools to choose from")
    return TextAsk(
        model=model,
        messages=conversation(body.messages),
        tools=offered(body.tools),
        tool_choice=choice,
        parallel=body.parallel_tool_calls is not False,
        options=options,
    )


def names(body: ChatBody) -> dict[str, str]:
    """What ``body`` calls the options that errors below name otherwise."""
    found = {"log_probs": "logprobs", "prompt": "messages"}
    if body.max_completion_tokens is not None:
        found["max_tokens"] = "max_completion_tokens"
    if body.response_format is not None:
        found["json_schema"] = "response_format"
    return found


async def told(body: ChatBody, head: Head, answer: Answer) -> dict[str, Any]:
    """The body of an answer, once it is complete."""
    choices = await collect(answer)
    scored = bool(body.logprobs)
    made = whole(head, choices, answer.outcome, answer.fingerprint, scored=scored)
    return {**made, "receipt": receipt_of(answer)} if body.receipt else made


def whole(
    head: Head, choices: Sequence[Choice], outcome: Outcome, fingerprint: str, *, scored: bool
) -> dict[str, Any]:
    """The body of an answer that is complete."""
    return {
        **_head(head, "chat.completion", fingerprint),
        "choices": [
            {
                "index": choice.index,
                "message": _message(choice),
                "logprobs": _log_probs(choice.scores) if scored else None,
                "finish_reason": choice.reason,
            }
            for choice in choices
        ],
        "usage": usage(outcome),
    }


async def chunks(
    head: Head, answer: Answer, *, include_usage: bool = False, receipt: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """The chunks of an answer as it comes; the last one holds what is known only then."""
    top = _head(head, "chat.completion.chunk", answer.fingerprint)
    if include_usage:
        top["usage"] = None

    def chunk(index: int, delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        return {**top, "choices": [choice]}

    begun: set[int] = set()
    async for event in answer:
        if event.index not in begun:
            begun.add(event.index)
            yield chunk(event.index, {"role": "assistant", "content": "", "refusal": None})
        match event:
            case Piece(index, text, found):
                more = {"logprobs": _log_probs(found)} if found else {}
                yield chunk(index, {"content": text}, **more)
            case Called(index, place):
                yield chunk(index, {"tool_calls": [{"index": place, **written_call(event)}]})
            case Ended(index, reason):
                yield chunk(index, {}, finish_reason=reason)
    last: dict[str, Any] = {"usage": usage(answer.outcome)} if include_usage else {}
    last |= {"receipt": receipt_of(answer)} if receipt else {}
    if last:
        yield {**top, "choices": [], **last}


def usage(outcome: Outcome) -> dict[str, Any]:
    """What an answer took, as OpenAI writes it."""
    return {
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "total_tokens": outcome.prompt_tokens + outcome.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": outcome.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _head(head: Head, kind: str, fingerprint: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{head.id}",
        "object": kind,
        "created": head.created,
        "model": head.model,
        "system_fingerprint": fingerprint,
    }


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
    if choice.calls:
        message["content"] = choice.text or None
        message["tool_calls"] = [written_call(called) for called in choice.calls]
    return message


def _log_probs(found: Any) -> dict[str, Any]:
    return {"content": scores(found), "refusal": None}
