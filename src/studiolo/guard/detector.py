"""How likely a text is to carry a watermark by chance: a p-value that is exact.

The statistic is the weighted sum of the tournament's bits over all scored tokens (Dathathri et al.
2024, Nature 634, 818-823: the weighted mean score), earlier layers counting for more, since each
layer leaves less for the next to choose between. *The null*: for a text made without the key, or
with another one, the bits are fair coins, independent of each other, whoever wrote it and in
whatever language. So the sum's distribution is known, and no texts are needed to calibrate it.

Notable choices. *Weights are whole numbers*, so that the sum lies on a lattice and its distribution
is a power of one polynomial. *The tail is computed under a tilted coin*, under which the sum that
was seen is an ordinary one, and tilted back: so 10⁻²⁰⁰ is as exact as 0.3. *A context counts once*,
as in the sampler: a refrain is no evidence.

What a p-value says: how rarely as many ones would come up in a text that was not marked. It is not
the chance that the text was not marked. Nor does a high one say so: few, forced or rewritten words
carry no mark. Knows token ids and a key; does not know text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studiolo.sampler.watermark import CONTEXT, LAYERS, Watermark, bits

WEIGHTS = tuple(10 - layer // 3 for layer in range(LAYERS))
"""10 to 1, as the paper's weights fall."""
MOST = 10_000
"""Scored tokens up to which the tail is exact; above, it is bounded, never below the truth."""


@dataclass(frozen=True)
class Evidence:
    """What the bits of a text say.

    ``scored``: tokens that could be looked at. ``score``: the mean weighted bit, 0 to 1, of which
    ½ is expected without a mark; None where nothing could be scored. ``log10_p``: of the p-value,
    0 or less.
    """

    scored: int
    score: float | None
    log10_p: float

    @property
    def p_value(self) -> float:
        """The chance of such a score or a higher one without a mark; 0 below 10⁻³⁰⁷ or so."""
        return float(10.0**self.log10_p)


def examine(tokens: Sequence[int], watermark: Watermark) -> Evidence:
    """The evidence in ``tokens``, ids of a text without its prompt, for this watermark."""
    total, scored = 0, 0
    seen: set[tuple[int, ...]] = set()
    weights = np.array(WEIGHTS)
    for place in range(CONTEXT, len(tokens)):
        context = tuple(tokens[place - CONTEXT : place])
        if context in seen:
            continue
        seen.add(context)
        (word,) = bits(watermark.seed(context), np.array([tokens[place]]))
        total += int(weights[[int(word) >> layer & 1 == 1 for layer in range(LAYERS)]].sum())
        scored += 1
    if not scored:
        return Evidence(0, None, 0.0)
    return Evidence(scored, total / (scored * sum(WEIGHTS)), log10_tail(total, scored))


def log10_tail(total: int, count: int) -> float:
    """log₁₀ of the chance that ``count`` tokens' weighted fair bits sum to ``total`` or more.

    With Λ(s) = Σ_l ln((1 + exp(s w_l)) / 2) and s such that count·Λ'(s) = total (0 if that is
    negative), the chance is exp(count·Λ(s) − s·total) · Σ_{k ≥ total} q(k) exp(−s (k − total)),
    where q is the distribution under coins that show 1 with chance 1 / (1 + exp(−s w_l)). For
    ``count`` above ``MOST`` the sum is replaced by 1, above which it is not (Chernoff's bound).
    """
    weights = np.array(WEIGHTS, dtype=np.float64)
    s = _tilt(total / count, weights)
    bound = count * float(np.logaddexp(0.0, s * weights).sum() - LAYERS * math.log(2)) - s * total
    if count > MOST:
        return min(0.0, bound / math.log(10))
    above = np.arange(count * sum(WEIGHTS) - total + 1)
    share = float((_pmf(count, 1 / (1 + np.exp(-s * weights)))[total:] * np.exp(-s * above)).sum())
    return min(0.0, (bound + math.log(share)) / math.log(10))


def _tilt(mean: float, weights: NDArray[np.float64]) -> float:
    """s ≥ 0 under which a token's sum is ``mean`` on average; 5 where it is all but the most."""
    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        if float((weights / (1 + np.exp(-middle * weights))).sum()) < mean:
            low = middle
        else:
            high = middle
    return low


def _pmf(count: int, chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distribution of the weighted sum over ``count`` tokens: ``[count · Σ w + 1]``."""
    size = count * sum(WEIGHTS) + 1
    length = 1 << (size - 1).bit_length()
    turn = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    transform = np.ones_like(turn)
    for weight, chance in zip(WEIGHTS, chances, strict=True):
        transform *= 1 - chance + chance * turn**weight
    pmf: NDArray[np.float64] = np.fft.irfft(transform**count, length)[:size]
    return np.maximum(pmf, 0.0)
