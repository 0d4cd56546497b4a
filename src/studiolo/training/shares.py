"""The rows of a batch that one of several processes works on, and how much they count.

A batch is a function of its number, so every process has the whole of it and takes its rows; none
is sent. The loss of a batch is a mean over what counts in it (tokens that are to be foreseen, or
pairs), of which some rows have more than others: so each process's mean counts by its part of
them, and the sum over the processes is the mean that one process would have had. Knows the kinds
of batches; does not know losses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from studiolo.errors import InvalidRequestError
from studiolo.training.data import TokenBatch
from studiolo.training.objective import Batch
from studiolo.training.preference import PairBatch

B = TypeVar("B", bound=Batch)


def share(batch: B, rank: int, count: int) -> tuple[B, float]:
    """The rows of process ``rank`` of ``count``, and their part, 0 to 1, of the batch's loss.

    A process in whose rows nothing counts gets the whole batch, at 0: the network is run by all or
    by none. Raises :class:`InvalidRequestError` for fewer rows than processes, and for a kind of
    batch that cannot be divided.
    """
    if count == 1:
        return batch, 1.0
    size = _rows(batch)
    if size < count:
        raise InvalidRequestError(
            "training.batch",
            f"{size} row(s) cannot be shared out among {count} processes",
            remedy="Raise training.batch, or start fewer processes.",
        )
    mine = _cut(batch, slice(rank * size // count, (rank + 1) * size // count))
    if not mine.weight:
        return batch, 0.0
    return mine, mine.weight / batch.weight


def divisible(batch: int, kind: str, count: int) -> None:
    """Raise :class:`InvalidRequestError` if ``batch`` rows of objective ``kind`` cannot be shared.

    Pairs and tokens can be unevenly, but a recipe's rows are refused then: one process would wait
    for another in each step.
    """
    if count == 1:
        return
    if kind == "rewards":
        raise InvalidRequestError(
            "objective.kind",
            f"rewards are learnt by one process, and these are {count}",
            remedy="Start it without torchrun.",
        )
    if batch % count:
        near = max(count, round(batch / count) * count)
        raise InvalidRequestError(
            "training.batch",
            f"{batch:,} blocks cannot be shared out evenly among {count} processes",
            remedy=f"The nearest number that can is {near:,}.",
        )


def _rows(batch: Batch) -> int:
    match batch:
        case TokenBatch():
            return len(batch.inputs)
        case PairBatch():
            return len(batch.chosen.inputs)
        case _:
            raise InvalidRequestError(
                "objective.kind", f"a {type(batch).__name__} cannot be shared out among processes"
            )


def _cut(batch: B, rows: slice) -> B:
    match batch:
        case TokenBatch():
            documents = None if batch.documents is None else batch.documents[rows]
            return replace(
                batch, inputs=batch.inputs[rows], targets=batch.targets[rows], documents=documents
            )
        case PairBatch():
            chosen, rejected = _cut(batch.chosen, rows), _cut(batch.rejected, rows)
            return replace(batch, chosen=chosen, rejected=rejected)
        case _:
            return batch
