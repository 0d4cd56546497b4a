"""``/v1/completions``: a prompt in, what follows it out, whole or in chunks.

Source: OpenAI API reference, "Completions". A prompt is a text or the token ids of one; of a list
of prompts each is answered as if alone, and choices are numbered prompt by prompt. ``suffix`` asks
for what stands between, of models that can. ``echo`` puts the prompt before the answer, with
``logprobs`` those of its tokens too, and ``max_tokens`` may then be 0: so a text is scored. Of
``best_of`` samples the ``n`` with the greatest mean log-probability are given.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import (
    Answer,
    Choice,
    Echoed,
    Ended,
    Outcome,
    Piece,
    Scored,
    TextAsk,
    collect,
)
from studiolo.task.openai.chat import usage
from studiolo.task.openai.fields import MAX_TOP, NOTHING, Head, Many, TextBody, receipt_of

MAX_TEXTS = 2048
"""Samples of all prompts of one request."""


class CompletionBody(TextBody):
    """The body of a request."""

    max_tokens: int | None = Field(None, ge=0)
    prompt: str | Many[int] | Many[str] | Many[Many[int]]
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = Field(None, ge=1, le=128)
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP)


def ask(body: CompletionBody, model: str) -> TextAsk:
    """What ``body`` asks of ``model``. Raises :class:`InvalidRequestError`."""
    options, given = body.options(), prompts(body)
    if body.logprobs is not None:
        options["log_probs"] = body.logprobs
    if body.max_tokens == 0 and not body.echo:
        raise InvalidRequestError(
            "max_tokens", "is 0, which is of use with echo alone", remedy="Ask for 1 at least."
        )
    if body.receipt and len(given) > 1:
        raise InvalidRequestError("receipt", "is of one prompt", remedy="Send one at a time.")
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
    drawn = options.get("n", 1)
    if len(given) * drawn > MAX_TEXTS:
        raise InvalidRequestError(
            "prompt",
            f"{len(given):,} prompts and {drawn} samples of each are {len(given) * drawn:,} texts, "
            f"and {MAX_TEXTS:,} are possible at once",
            remedy="Send fewer prompts at a time.",
        )
    return TextAsk(
        model=model,
        prompt=given[0],
        others=tuple(given[1:]),
        suffix=body.suffix or None,
        echo=bool(body.echo) and not _befores(body),
        options=options,
    )


def names(body: CompletionBody) -> dict[str, str]:
    """What ``body`` calls the options that errors below name otherwise."""
    found = {"log_probs": "logprobs" if body.logprobs is not None else "best_of"}
    if body.response_format is not None:
        found["json_schema"] = "response_format"
    return found


def prompts(body: CompletionBody) -> list[str | list[int]]:
    """All prompts, one at least. Raises :class:`InvalidRequestError`."""
    given: Any = body.prompt
    single = isinstance(given, str) or (given and isinstance(given[0], int))
    found: list[str | list[int]] = [given] if single else given
    if not found or any(not each and not isinstance(each, str) for each in found):
        raise InvalidRequestError("prompt", "is empty", remedy="Give at least one token.")
    return found


def chosen(body: CompletionBody, choices: Sequence[Choice]) -> list[Choice]:
    """Of each prompt the ``n`` best of ``best_of``, best first; without it, all there are."""
    drawn, wanted = body.best_of or 1, body.n or 1
    if drawn <= wanted:
        return list(choices)

    def mean(choice: Choice) -> float:  # no text is the worst of all
        known = [each.log_prob for each in choice.scores]
        return sum(known) / len(known) if known else -math.inf

    best: list[Choice] = []
    for start in range(0, len(choices), drawn):
        own = choices[start : start + drawn]
        best += sorted(own, key=mean, reverse=True)[:wanted]
    return [replace(choice, index=i) for i, choice in enumerate(best)]


def _befores(body: CompletionBody) -> list[str]:
    """The prompts, if they are to be told again as they stand in ``body``; else none.

    Where more is to be said of them, who answers says it.
    """
    if not body.echo or body.logprobs is not None or body.max_tokens == 0:
        return []
    given = prompts(body)
    texts = [each for each in given if isinstance(each, str)]
    return texts if len(texts) == len(given) else []


async def told(body: CompletionBody, head: Head, answer: Answer) -> dict[str, Any]:
    """The body of an answer, once it is complete."""
    choices = await collect(answer)
    made = whole(body, head, choices, answer.outcome, answer.fingerprint)
    return {**made, "receipt": receipt_of(answer)} if body.receipt else made


def whole(
    body: CompletionBody, head: Head, choices: Sequence[Choice], outcome: Outcome, fingerprint: str
) -> dict[str, Any]:
    """The body of an answer that is complete."""
    befores = _befores(body)
    return {
        **_head(head, fingerprint),
        "choices": [_choice(body, befores, choice) for choice in chosen(body, choices)],
        "usage": usage(outcome),
    }


def _choice(body: CompletionBody, befores: Sequence[str], choice: Choice) -> dict[str, Any]:
    before = befores[choice.index // (body.n or 1)] if befores else ""
    echo = choice.echo or Echoed(choice.index, before)
    found = None
    if body.logprobs is not None:
        parts = _echoed(echo), _log_probs(choice.scores, len(echo.text))
        found = {name: parts[0][name] + parts[1][name] for name in parts[0]}
    return {
        "index": choice.index,
        "text": f"{echo.text}{choice.text}",
        "logprobs": found,
        "finish_reason": choice.reason,
    }


async def chunks(
    body: CompletionBody, head: Head, answer: Answer, *, include_usage: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """The chunks of an answer as it comes; the last one holds what is known only then."""
    top = _head(head, answer.fingerprint)
    if include_usage:
        top["usage"] = None
    befores, length = _befores(body), dict[int, int]()
    async for event in answer:
        choice: dict[str, Any] = {
            "index": event.index, "text": "", "logprobs": None, "finish_reason": None,
        }  # fmt: skip
        if befores and event.index not in length:
            yield {**top, "choices": [{**choice, "text": befores[event.index // (body.n or 1)]}]}
        at = length.setdefault(event.index, 0)
        match event:
            case Echoed(index, text, found):
                choice["text"], length[index] = text, len(text)
                if found:
                    choice["logprobs"] = _echoed(event)
                yield {**top, "choices": [choice]}
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


def _echoed(echo: Echoed) -> dict[str, Any]:
    """The scores of a prompt: there are none of its first token."""
    made = {**_log_probs(echo.scores, 0), "text_offset": list(echo.offsets)}
    for name in ("token_logprobs", "top_logprobs"):
        made[name][:1] = [None] * len(made[name][:1])
    return made


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
