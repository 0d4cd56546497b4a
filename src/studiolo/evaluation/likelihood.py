r"""How well a model foresees a text: token log-likelihoods, perplexity, bits per byte.

Every token but the first is scored given what comes before it. A text longer than the
model's context is read in windows that overlap by half, so that no token but those at the
very start is scored with less than half a context before it. Knows token ids, not text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from studiolo.errors import InvalidRequestError
from studiolo.family.contract import HasLikelihood


def windows(length: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Spans ``(start, end, first)`` that together score tokens ``1 … length - 1`` once each.

    A span reads ``[start, end)``, at most ``context`` tokens (2 or more), and scores
    ``[first, end)``.
    """
    first = 1
    while first < length:
        end = min(length, context if first == 1 else first + context // 2)
        yield max(0, end - context), end, first
        first = end


def token_log_likelihoods(
    model: HasLikelihood,
    tokens: Tensor,
    context: int,
    report: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Natural-log probability of each of ``tokens`` (int64 ``[T]``) but the first: ``[T - 1]``.

    ``report`` is told how many tokens are scored, now and then and at the end. Raises
    :class:`InvalidRequestError` for fewer than two tokens, and for a context that has no room
    for one token and another before it.
    """
    if context < 2:
        raise InvalidRequestError(
            "model", f"its context holds {context} token(s); scoring needs at least 2"
        )
    if len(tokens) < 2:
        raise InvalidRequestError(
            "text",
            f"has {len(tokens)} token(s), but a token is scored only given one before it",
            remedy="Give a text of at least two tokens.",
        )
    scored = []
    for start, end, first in windows(len(tokens), context):

        def within(done: int, start: int = start, first: int = first) -> None:
            # The first tokens of a later window have been scored in the one before.
            if start + done >= first:
                report(start + done)

        found = model.log_likelihood(tokens[start:end], within)
        scored.append(found[first - start - 1 :])
    return torch.cat(scored)


@dataclass(frozen=True)
class Likelihood:
    """The mean over the scored tokens; ``bits_per_byte`` over the bytes that they spell."""

    token_count: int
    nats_per_token: float
    perplexity: float
    bits_per_byte: float

    @classmethod
    def of(cls, log_probs: Tensor, byte_count: int) -> Likelihood:
        """``log_probs``: nats, ``[N]``, N at least 1."""
        total = -float(log_probs.double().sum())
        mean = total / len(log_probs)
        bits = total / math.log(2) / byte_count if byte_count else math.nan
        return cls(len(log_probs), mean, math.exp(min(mean, 700.0)), bits)
