"""How found passages are put in order: several rankings as one, and no five times the same.

Arithmetic on small lists. Deliberately unknown here: where rankings come from.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from studiolo.retrieval.embedder import Vectors

Key = TypeVar("Key", bound=Hashable)
RRF_K = 60
"""Of the paper below, which found it good over all its data."""


def fused(rankings: Sequence[Sequence[Key]], k: int = RRF_K) -> dict[Key, float]:
    r"""Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009).

    .. math:: s(d) = \frac{k + 1}{m} \sum_{i=1}^{m} \frac{1}{k + r_i(d)}

    over the ``m`` rankings that have ``d``, ranks from 1; scaled so that the first of all is 1.
    Best first; of equal ones the one that an earlier ranking has sooner.
    """
    scores: dict[Key, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + (k + 1) / (k + rank) / len(rankings)
    return dict(sorted(scores.items(), key=lambda pair: -pair[1]))


def diverse(
    relevance: Mapping[Key, float], vectors: Mapping[Key, Vectors], count: int, diversity: float
) -> list[Key]:
    r"""Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998, equation 1).

    .. math:: \arg\max_{d \notin S}\; (1 - \delta)\,s(d) - \delta \max_{e \in S} \cos(d, e)

    one after another, ``count`` in all; ``diversity`` is :math:`\delta`, from 0 to 1. Vectors have
    length 1.
    """
    keys = list(relevance)
    if not keys:
        return []
    matrix = np.stack([vectors[key] for key in keys])
    scores = np.array([relevance[key] for key in keys])
    nearest = np.zeros(len(keys))
    left = np.ones(len(keys), bool)
    chosen: list[Key] = []
    while len(chosen) < min(count, len(keys)):
        value = (1 - diversity) * scores - diversity * nearest
        best = int(np.argmax(np.where(left, value, -np.inf)))
        left[best] = False
        chosen.append(keys[best])
        nearest = np.maximum(nearest, matrix @ matrix[best])
    return chosen
