"""From logits and settings to the next token.

The strategies are applied in the order of Hugging Face ``generate``: logit bias,
repetition penalty, (presence and frequency penalties, which it lacks,) temperature,
top-k, top-p, min-p, typical. Bias and penalties come first because they correct the
scores themselves, on the scale the model gave them; temperature next, so that the
probabilities that top-p, min-p and typical cut by are those drawn from; top-k before
top-p because it is the cheapest, and leaves the later ones little to look at. Settings
found for one system thus mean the same in the other.

Notable choices. A draw takes exactly one float64 uniform from the caller's generator
and inverts the distribution function in float64, over ascending ids, on the CPU: the
same seed and the same logits give the same token on any device, and the n-th token of
a request always consumes the n-th uniform. Greedy decoding consumes none.

This module does not know the model, nor when to stop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studiolo.errors import StudioloError
from studiolo.sampler import strategies
from studiolo.sampler.history import History
from studiolo.sampler.settings import Decoding
from studiolo.sampler.watermark import Reweigh

BLOCK = 512
"""Tokens whose probabilities :func:`draw` sums before it looks at any alone."""

Strategy = Callable[[Tensor, History], Tensor]


def adjustments(settings: Decoding) -> list[Strategy]:
    """The strategies in force that correct scores; greedy and beam search use these alone."""
    chain: list[Strategy] = []
    if settings.logit_bias:
        chain.append(partial(strategies.logit_bias, bias=settings.logit_bias))
    if settings.repetition_penalty != 1:
        chain.append(partial(strategies.repetition_penalty, penalty=settings.repetition_penalty))
    if settings.presence_penalty != 0:
        chain.append(partial(strategies.presence_penalty, penalty=settings.presence_penalty))
    if settings.frequency_penalty != 0:
        chain.append(partial(strategies.frequency_penalty, penalty=settings.frequency_penalty))
    return chain


def restrictions(settings: Decoding) -> list[Strategy]:
    """The strategies in force that shape a draw, for a temperature above 0."""
    chain: list[Strategy] = []
    if settings.temperature != 1:
        chain.append(partial(strategies.temperature, temperature=settings.temperature))
    if settings.top_k > 0:
        chain.append(partial(strategies.top_k, k=settings.top_k))
    if settings.top_p < 1:
        chain.append(partial(strategies.top_p, p=settings.top_p))
    if settings.min_p > 0:
        chain.append(partial(strategies.min_p, fraction=settings.min_p))
    if settings.typical_p < 1:
        chain.append(partial(strategies.typical, p=settings.typical_p))
    return chain


def adjust(logits: Tensor, history: History, settings: Decoding) -> Tensor:
    """Logits ``[V]`` after bias and penalties: what greedy and beam search maximise.

    Raises:
        StudioloError: if a logit is NaN or ``+inf``, or every one is ``-inf``.
    """
    logits = logits.detach().to("cpu", torch.float32)
    _check(logits)
    for strategy in adjustments(settings):
        logits = strategy(logits, history)
    return logits


def shape(logits: Tensor, history: History, settings: Decoding) -> Tensor:
    """Logits ``[V]`` of the distribution that :func:`pick` draws from, ``-inf`` where excluded.

    At temperature 0 that is the likeliest token alone. Raises as :func:`adjust` does.
    """
    logits = adjust(logits, history, settings)
    if settings.temperature == 0:
        return strategies.top_k(logits, history, k=1)
    for strategy in restrictions(settings):
        logits = strategy(logits, history)
    return logits


def generator(seed: int) -> torch.Generator:
    """A request's own stream of random numbers, for a ``seed`` of 0 to 2**64 - 1.

    PyTorch's CPU generator looks at the lower 32 bits alone: ``1`` and ``1 + 2**32`` would
    draw the same. A larger seed is therefore hashed; a smaller one is taken as it is.
    """
    if seed >= 2**32:
        seed = int.from_bytes(hashlib.sha256(seed.to_bytes(8, "big")).digest()[:4], "big")
    return torch.Generator().manual_seed(seed)


def draw(logits: Tensor, rng: torch.Generator, reweigh: Reweigh | None = None) -> int:
    """One token id from ``softmax(logits)``, using exactly one uniform of ``rng`` (on the CPU).

    The first id, in ascending order, at which the cumulated probability exceeds the
    uniform. An excluded token (``-inf``) is never drawn. ``reweigh`` changes the probabilities
    of the others first.

    Raises:
        StudioloError: if a logit is NaN or ``+inf``, or every one is ``-inf``.
    """
    _check(logits)
    uniform = torch.rand((), dtype=torch.float64, generator=rng).item()
    values = strategies.array(logits)
    ids = strategies.live(values)
    weight = strategies.weights(values if ids is None else values[ids])
    if reweigh is not None:
        weight = reweigh(np.arange(values.size) if ids is None else ids, weight)
    # Find the block, then the place in it: a running sum over a whole vocabulary costs
    # more than all the exponentials.
    full = weight.size // BLOCK * BLOCK
    sums = weight[:full].reshape(-1, BLOCK).sum(axis=1)
    block, rest = _locate(np.append(sums, weight[full:].sum()), uniform)
    start = block * BLOCK
    place, _ = _locate(weight[start : start + BLOCK], rest)
    return start + place if ids is None else int(ids[start + place])


def pick(
    logits: Tensor,
    history: History,
    settings: Decoding,
    rng: torch.Generator,
    reweigh: Reweigh | None = None,
) -> int:
    """The next token id: the likeliest at temperature 0 (of equals the lowest id), else a draw.

    ``logits``: ``[V]``, any floating type and device. ``history`` is read and not
    changed. ``reweigh``: as in :func:`draw`. Raises as :func:`adjust` does.
    """
    if settings.temperature == 0:
        # numpy, unlike torch, promises the first of equal maxima.
        return int(strategies.array(adjust(logits, history, settings)).argmax())
    return draw(shape(logits, history, settings), rng, reweigh)


def _locate(weight: NDArray[np.float64], fraction: float) -> tuple[int, float]:
    """Where the running sum first exceeds ``fraction`` of the whole.

    Also how far into that place, again as a fraction. Never a place of weight 0.
    """
    running = np.cumsum(weight)
    # Rounding must not carry the target up to the whole sum, which nothing exceeds.
    target = min(fraction * running[-1], np.nextafter(running[-1], 0.0))
    place = int(np.searchsorted(running, target, side="right"))
    before = running[place - 1] if place else 0.0
    return place, float((target - before) / weight[place])


def _check(logits: Tensor) -> None:
    top = float(strategies.array(logits).max(initial=-np.inf))
    if np.isnan(top) or top == np.inf:
        raise StudioloError(
            f"no token can be chosen: the largest of the model's logits is {top}",
            remedy="The weights or the arithmetic that ran them are broken: check the bundle's "
            "digest, or try float32 on the CPU.",
        )
    if top == -np.inf:
        raise StudioloError(
            "no token can be chosen: every one is excluded",
            remedy="Loosen the constraint that excludes them.",
        )
