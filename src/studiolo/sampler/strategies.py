"""The decoding strategies, each a function from logits to logits.

Every strategy has one signature::

    strategy(logits: Tensor[V], history: History, *, option) -> Tensor[V]

It takes float32 logits, in which ``-inf`` marks a token excluded already, and returns
new ones on the CPU; it never changes its input. Strategies that exclude tokens leave
the logits of the others as they are, so that any strategy may follow any other.

Notable choices. *Exact without a sort*: sorting a vocabulary of 262,144 for every token
costs tens of milliseconds. The best ``k`` are found above a bound that is cheap to
compute and cannot be too high (see :func:`highest`); a nucleus is sought in a short
head, which grows only if the head does not hold it. The result is the definition's,
whichever path found it. *Ties go to the lower id*, so that nothing depends on a sorting
algorithm. *Probabilities are float64 in numpy on one thread*, in ascending order of id:
a boundary cannot move with the device or the number of threads.

This module does not know in which order strategies are applied (``decoding``), nor how
a token is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studiolo.sampler.history import History

Array = NDArray[np.float32]
Positions = NDArray[np.int64]

HEADS = (128, 2048)
"""Lengths of the heads in which a nucleus is sought before the whole vocabulary is sorted."""

GROUP = 64
"""Members of a group in :func:`highest`, at most."""


def logit_bias(logits: Tensor, history: History, *, bias: Mapping[int, float]) -> Tensor:
    """Add ``bias[i]`` to logit ``i``, as the OpenAI API defines it.

    Ids must lie within the vocabulary (``settings.check_vocabulary``).
    """
    out = array(logits).copy()
    ids = np.fromiter(bias.keys(), dtype=np.int64, count=len(bias))
    out[ids] += np.fromiter(bias.values(), dtype=np.float32, count=len(bias))
    return torch.from_numpy(out)


def repetition_penalty(logits: Tensor, history: History, *, penalty: float) -> Tensor:
    """Divide the positive logits of seen tokens by ``penalty`` and multiply the negative ones.

    Seen are the tokens of the prompt and of the text so far, however often. Keskar et al.
    2019, "CTRL", section 4.1, with the sign rule that Hugging Face added: dividing a
    negative logit would *raise* it.
    """
    out = array(logits).copy()
    ids, _ = history.seen.below(out.size)
    seen = out[ids]
    factor = np.float32(penalty)
    out[ids] = np.where(seen < 0, seen * factor, seen / factor)
    return torch.from_numpy(out)


def presence_penalty(logits: Tensor, history: History, *, penalty: float) -> Tensor:
    """Subtract ``penalty`` from every token generated at least once (OpenAI API reference)."""
    out = array(logits).copy()
    ids, _ = history.said.below(out.size)
    out[ids] -= np.float32(penalty)
    return torch.from_numpy(out)


def frequency_penalty(logits: Tensor, history: History, *, penalty: float) -> Tensor:
    """Subtract ``penalty`` times the number of times generated (OpenAI API reference)."""
    out = array(logits).copy()
    ids, counts = history.said.below(out.size)
    out[ids] -= (np.float32(penalty) * counts).astype(np.float32)
    return torch.from_numpy(out)


def temperature(logits: Tensor, history: History, *, temperature: float) -> Tensor:
    """Divide by ``temperature`` > 0: ``p_i ∝ exp(x_i / T)``. Greedy is ``decoding``'s affair."""
    return torch.from_numpy(array(logits) / np.float32(temperature))


def top_k(logits: Tensor, history: History, *, k: int) -> Tensor:
    """Keep the ``k`` ≥ 1 likeliest tokens (Fan et al. 2018, section 5).

    Exactly ``k`` where there are as many: of equals, those with the lower ids.
    """
    values = array(logits)
    return _only(values, highest(values, k))


def top_p(logits: Tensor, history: History, *, p: float) -> Tensor:
    """Keep the nucleus: the fewest likeliest tokens whose probabilities reach ``p``.

    Holtzman et al. 2020, equation 2. A token stays while the mass *before* it is under
    ``p``, so the likeliest always stays.
    """
    values = array(logits)
    if p >= 1:
        return torch.from_numpy(values.copy())
    ids = live(values)
    scores = values if ids is None else values[ids]
    kept = _nucleus(scores, weights(scores), p)
    return _only(values, kept if ids is None else ids[kept])


def min_p(logits: Tensor, history: History, *, fraction: float) -> Tensor:
    """Keep the tokens at least ``fraction`` as likely as the likeliest (Nguyen et al. 2024).

    ``p_i ≥ fraction · max p`` is ``x_i − max x ≥ ln fraction``: no normaliser is needed.
    """
    values = array(logits)
    if fraction <= 0:
        return torch.from_numpy(values.copy())
    # The difference of two float32 is rounded the same way wherever this runs.
    keep = values - values.max() >= np.float32(math.log(fraction))
    return torch.from_numpy(np.where(keep, values, np.float32(-np.inf)))


def typical(logits: Tensor, history: History, *, p: float) -> Tensor:
    """Keep the tokens of the most ordinary surprise, as many as reach the mass ``p``.

    Meister et al. 2022, equation 11: tokens are ranked by ``|−ln p_i − H|``, where ``H``
    is the entropy of the distribution in nats, and taken until their probabilities reach
    ``p``. The likeliest token may be dropped, which is the point: text that never
    surprises is not typical either.
    """
    values = array(logits)
    if p >= 1:
        return torch.from_numpy(values.copy())
    ids = live(values)
    scores = values if ids is None else values[ids]
    weight = weights(scores)
    total = weight.sum()
    surprise = np.subtract(float(scores.max()) + math.log(total), scores, dtype=np.float64)
    entropy = (weight * surprise).sum() / total
    ordinary = -np.abs(surprise - entropy).astype(np.float32)
    kept = _nucleus(ordinary, weight, p)
    return _only(values, kept if ids is None else ids[kept])


def array(logits: Tensor) -> Array:
    """The logits ``[V]`` as a float32 array in main memory; not a copy if they are one already."""
    result: Array = logits.detach().to("cpu", torch.float32).contiguous().numpy()
    return result


def live(values: Array) -> Positions | None:
    """The positions that are not excluded, ascending; None where that is all of them."""
    mask = values > -np.inf
    # Counting is cheap beside listing a whole vocabulary, and mostly it is all or few.
    return None if np.count_nonzero(mask) == values.size else np.flatnonzero(mask)


def weights(values: Array) -> NDArray[np.float64]:
    """``exp(x_i − max x)`` in float64: probabilities but for their sum. ``values`` not empty."""
    wide: NDArray[np.float64] = np.subtract(values, values.max(), dtype=np.float64)
    return np.exp(wide, out=wide)


def highest(values: Array, count: int) -> Positions:
    """The positions of the ``count`` highest values, best first, of equals the lower first.

    Exact, and mostly one pass: the values are dealt into groups, and the ``count``-th
    highest of the groups' maxima is a lower bound of the ``count``-th highest value,
    since that many groups hold one at least as high. What reaches the bound is sorted;
    for the logits of a language model that is little more than ``count``.
    """
    size = values.size
    if count >= size:
        return _descending(values, np.arange(size))
    members = min(GROUP, size // (8 * count))
    pool = values
    if members > 1:
        pool = values[: size // members * members].reshape(members, -1).max(axis=0)
    bound = np.partition(pool, pool.size - count)[pool.size - count]
    near = np.flatnonzero(values >= bound)
    return _descending(values[near], near)[:count]


def _descending(values: Array, positions: Positions) -> Positions:
    """``positions`` (below 2³²) by falling value, of equals the lower first.

    Value and position are packed into one integer, because numpy sorts integers with
    the processor's vectors, tens of times faster than it sorts indices stably.
    """
    # As integers, floats of one sign are in order and those below zero in reverse;
    # adding 0 makes a negative zero a positive one, as the two must tie.
    bits = (values + np.float32(0)).view(np.int32)
    rising = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    keys = (~rising).astype(np.int64) << 32 | positions
    keys.sort()
    return keys & 0xFFFFFFFF


def _nucleus(scores: Array, weight: NDArray[np.float64], p: float) -> Positions:
    """The fewest highest-scored positions whose weight reaches ``p`` of the whole; never none."""
    target = p * weight.sum()
    for head in (*HEADS, scores.size):
        best = highest(scores, head)
        reached = int(np.searchsorted(np.cumsum(weight[best]), target))
        if reached < best.size:
            return best[: reached + 1]
    return best


def _only(values: NDArray[np.float32], kept: Positions) -> Tensor:
    """``values`` at the ``kept`` positions and ``-inf`` elsewhere."""
    out = np.full_like(values, -np.inf)
    out[kept] = values[kept]
    return torch.from_numpy(out)
