"""``/v1/completions``: a prompt in, what follows it out, whole or in chunks.

Source: OpenAI API reference, "Completions". A prompt is one text or the token ids of one, which
may stand alone in a list;
``suffix`` asks for what stands between, of models that can; ``echo`` puts the prompt before the
answer; of ``best_of`` samples the ``n`` with the greatest mean log-probability are given.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Answer, Choice, Ended, Outcome, Piece, Scored, TextAsk, collect
from studiolo.task.openai.chat import usage
from studiolo.task.openai.fields import MAX_TOP, NOTHING, Head, Many, TextBody, receipt_of


class CompletionBody(TextBody):
    """The body of a request."""

    prompt: str | Many[int] | Many[str] | Many[Many[int]]
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = Field(None, ge=1, le=128)
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP)


def ask(body: CompletionBody, model: str) -> TextAsk:
    """What ``body`` asks of ``model``. Raises :class:`InvalidRequestError`."""
    options, prompt = body.options(), prompt_of(body)
    if body.logprobs is not None:
        options["log_probs"] = body.logprobs
    if body.echo and body.logprobs is not None:
        raise InvalidRequestError(
            "echo", "has no logprobs here", remedy="`studiolo score` tells those of a text."
        )
    if body.echo and not isinstance(prompt, str):
        raise InvalidRequestError("echo", "needs a prompt of text, not of token ids")
    if body.best_of is not None:
        drawn = options.get("n", 1)
        if body.best_of < drawn:
            raise InvalidRequestError("best_of", f"is {body.best_of}, and n is {drawn}")
        if body.best_of > drawn:
            if body.stream:
                raise InvalidRequestError("best_of", "cannot be streamed: the best is known last")
            if options.get("beams", 1) > 1:
                raise InvalidRequestError("best_of", "goes not with beams, which find the best")
            options["n"] = body.best_of
            options.setdefault("log_probs", 0)
    return TextAsk(model=model, prompt=prompt, suffix=body.suffix or None, options=options)


def names(body: CompletionBody) -> dict[str, str]:
    """What ``body`` calls the options that errors below name otherwise."""
    found = {"log_probs": "logprobs" if body.logprobs is not None else "best_of"}
    if body.response_format is not None:
        found["json_schema"] = "response_format"
    return found


def prompt_of(body: CompletionBody) -> str | list[int]:
    """The one prompt. Raises :class:`InvalidRequestError`."""
    given: Any = body.prompt
    if isinstance(given, list) and given and not isinstance(given[0], int):
        if len(given) > 1:
            raise InvalidRequestError(
                "prompt", f"holds {len(given):,}, and one is possible", remedy="Send one at a time."
            )
        given = given[0]
    if not given and not isinstance(given, str):
        raise InvalidRequestError("prompt", "is empty", remedy="Give at least one token.")
    prompt: str | list[int] = given
    return prompt


def chosen(body: CompletionBody, choices: Sequence[Choice]) -> list[Choice]:
    """The ``n`` best of ``best_of``, best first; without it, all there are."""
    if body.best_of is None or len(choices) <= (body.n or 1):
        return list(choices)

    def mean(choice: Choice) -> float:  # no text is the worst of all
        known = [each.log_prob for each in choice.scores]
        return sum(known) / len(known) if known else -math.inf

    best = sorted(choices, key=mean, reverse=True)[: body.n or 1]
    return [replace(choice, index=i) for i, choice in enumerate(best)]


async def told(body: CompletionBody, head: Head, answer: Answer) -> dict[str, Any]:
    """The body of an answer, once it is complete."""
    choices = await collect(answer)
    made = whole(body, head, choices, answer.outcome, answer.fingerprint)
    return {**made, "receipt": receipt_of(answer)} if body.receipt else made


def whole(
    body: CompletionBody, head: Head, choices: Sequence[Choice], outcome: Outcome, fingerprint: str
) -> dict[str, Any]:
    """The body of an answer that is complete."""
    before = prompt_of(body) if body.echo else ""
    return {
        **_head(head, fingerprint),
        "choices": [
            {
                "index": choice.index,
                "text": f"{before}{choice.text}",
                "logprobs": None if body.logprobs is None else _log_probs(choice.scores, 0),
                "finish_reason": choice.reason,
            }
            for choice in chosen(body, choices)
        ],
        "usage": usage(outcome),
    }


async def chunks(
    body: CompletionBody, head: Head, answer: Answer, *, include_usage: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """The chunks of an answer as it comes; the last one holds what is known only then."""
    top = _head(head, answer.fingerprint)
    if include_usage:
        top["usage"] = None
    length: dict[int, int] = {}
    async for event in answer:
        choice: dict[str, Any] = {
            "index": event.index, "text": "", "logprobs": None, "finish_reason": None,
        }  # fmt: skip
        if body.echo and event.index not in length:
            yield {**top, "choices": [{**choice, "text": prompt_of(body)}]}
        at = length.setdefault(event.index, 0)
        match event:
            case Piece(index, text, found):
                choice["text"] = text
                if found:
                    choice["logprobs"] = _log_probs(found, at)
                    length[index] += sum(len(each.text) for each in found)
                yield {**top, "choices": [choice]}
            case Ended(_, reason):
                yield {**top, "choices": [{**choice, "finish_reason": reason}]}
    last: dict[str, Any] = {"usage": usage(answer.outcome)} if include_usage else {}
    last |= {"receipt": receipt_of(answer)} if body.receipt else {}
    if last:
        yield {**top, "choices": [], **last}


def _head(head: Head, fingerprint: str) -> dict[str, Any]:
    return {
        "id": f"cmpl-{head.id}",
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
        "system_fingerprint": fingerprint,
    }


def _log_probs(found: Sequence[Scored], start: int) -> dict[str, Any]:
    offsets, at = [], start
    for each in found:
        offsets.append(at)
        at += len(each.text)
    return {
        "tokens": [each.text for each in found],
        "token_logprobs": [max(each.log_prob, NOTHING) for each in found],
        "top_logprobs": [_top(each) for each in found],
        "text_offset": offsets,
    }


def _top(token: Scored) -> dict[str, float]:
    """The likeliest tokens, best first, and the one that was drawn, which always has its place."""
    found: dict[str, float] = {}
    for each in (*token.top, token):  # of two that read alike the likelier
        found.setdefault(each.text, max(each.log_prob, NOTHING))
    return found
