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

Floats = NDArray[np.floating]
Positions = NDArray[np.int64]

FIRST_HEAD = 128
"""Where the search for a nucleus starts; text models' nuclei are mostly smaller."""

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
    scores = values[ids]
    return _only(values, ids[_nucleus(scores, weights(scores), p)])


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
    weight = weights(values[ids])
    total = weight.sum()
    surprise = math.log(total) - (values[ids].astype(np.float64) - float(values.max()))
    entropy = float(np.dot(weight, surprise)) / total
    return _only(values, ids[_nucleus(-np.abs(surprise - entropy), weight, p)])


def array(logits: Tensor) -> NDArray[np.float32]:
    """The logits ``[V]`` as a float32 array in main memory; not a copy if they are one already."""
    result: NDArray[np.float32] = logits.detach().to("cpu", torch.float32).contiguous().numpy()
    return result


def live(values: Floats) -> Positions:
    """The positions that are not excluded, ascending."""
    return np.flatnonzero(values > -np.inf)


def weights(values: Floats) -> NDArray[np.float64]:
    """``exp(x_i − max x)`` in float64: probabilities but for their sum. ``values`` not empty."""
    wide = values.astype(np.float64)
    wide -= wide.max()
    result: NDArray[np.float64] = np.exp(wide, out=wide)
    return result


def highest(values: Floats, count: int) -> Positions:
    """The positions of the ``count`` highest values, best first, of equals the lower first.

    Exact, and mostly one pass: the values are dealt into groups, and the ``count``-th
    highest of the groups' maxima is a lower bound of the ``count``-th highest value,
    since that many groups hold one at least as high. What reaches the bound is sorted;
    for the logits of a language model that is little more than ``count``.
    """
    size = values.size
    if count < size:
        members = min(GROUP, size // (8 * count))
        pool = values
        if members > 1:
            pool = values[: size // members * members].reshape(members, -1).max(axis=0)
        bound = np.partition(pool, pool.size - count)[pool.size - count]
        near = np.flatnonzero(values >= bound)
        return near[np.argsort(-values[near], kind="stable")[:count]]
    return np.argsort(-values, kind="stable")


def _nucleus(scores: Floats, weight: NDArray[np.float64], p: float) -> Positions:
    """The fewest highest-scored positions whose weight reaches ``p`` of the whole; never none."""
    target = p * weight.sum()
    head = FIRST_HEAD
    while True:
        best = highest(scores, head)
        reached = int(np.searchsorted(np.cumsum(weight[best]), target))
        if reached < best.size or best.size == scores.size:
            return best[: reached + 1]
        head *= 8


def _only(values: NDArray[np.float32], kept: Positions) -> Tensor:
    """``values`` at the ``kept`` positions and ``-inf`` elsewhere."""
    out = np.full_like(values, -np.inf)
    out[kept] = values[kept]
    return torch.from_numpy(out)
