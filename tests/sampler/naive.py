"""The strategies as their papers define them, sorting everything: what the fast ones must equal."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]


def ranked(values: Array) -> list[int]:
    """Positions by falling value, of equals the lower first."""
    return sorted(range(values.size), key=lambda i: (-float(values[i]), i))


def keep(values: Array, ids: list[int]) -> Tensor:
    out = torch.full((values.size,), -torch.inf)
    out[ids] = torch.from_numpy(values)[ids]
    return out


def nucleus(order: list[int], probability: NDArray[np.float64], p: float) -> list[int]:
    """Tokens in ``order`` while the mass before them is under ``p``; the first in any case."""
    kept, mass = order[:1], float(probability[order[0]])
    for i in order[1:]:
        if mass >= p:
            break
        kept.append(i)
        mass += float(probability[i])
    return kept


def softmax(values: Array) -> NDArray[np.float64]:
    weight = np.exp(values.astype(np.float64) - float(values.max()))
    result: NDArray[np.float64] = weight / weight.sum()
    return result


def top_k(values: Array, k: int) -> Tensor:
    return keep(values, ranked(values)[:k])


def top_p(values: Array, p: float) -> Tensor:
    probability = softmax(values)
    return keep(values, nucleus([i for i in ranked(values) if values[i] > -np.inf], probability, p))


def min_p(values: Array, fraction: float) -> Tensor:
    probability = softmax(values)
    best = probability.max()
    return keep(values, [i for i in range(values.size) if probability[i] >= fraction * best])


def typical(values: Array, p: float) -> Tensor:
    probability = softmax(values)
    ids = [i for i in range(values.size) if values[i] > -np.inf]
    surprise = -np.log(probability[ids])
    entropy = float((probability[ids] * surprise).sum())
    distance = np.abs(surprise - entropy).astype(np.float32)
    order = [ids[j] for j in sorted(range(len(ids)), key=lambda j: (float(distance[j]), j))]
    return keep(values, nucleus(order, probability, p))
