from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.training.data import TokenBatch
from studiolo.training.language import NextToken
from studiolo.training.losses import IGNORED
from studiolo.training.preference import Pairs
from studiolo.training.reward import TrialBatch
from studiolo.training.shares import divisible, share
from tests.training.test_preference import decoder, pairs


def tokens(rows: int, documents: bool = True) -> TokenBatch:
    """Of each row some targets count, of row 1 none."""
    rng = np.random.default_rng(rows)
    inputs = torch.from_numpy(rng.integers(1, 40, (rows, 6)))
    targets = torch.from_numpy(rng.integers(1, 40, (rows, 6)))
    targets[torch.from_numpy(rng.random((rows, 6)) < 0.5)] = IGNORED
    targets[0, 0] = 1
    targets[1:2] = IGNORED
    return TokenBatch(inputs, targets, torch.zeros_like(inputs) if documents else None)


@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_every_row_is_somebodys_and_the_parts_are_the_whole(
    rows: int, count: int, documents: bool
) -> None:
    batch = tokens(rows, documents)
    if count > rows:
        with pytest.raises(InvalidRequestError, match="cannot be shared out among"):
            share(batch, 0, count)
        return
    shares = [share(batch, rank, count) for rank in range(count)]
    assert sum(part for _, part in shares) == pytest.approx(1.0)
    counted = [mine for mine, part in shares if part]
    assert sum(mine.weight for mine in counted) == batch.weight
    for mine, part in shares:
        assert (mine.documents is None) == (batch.documents is None)
        assert part or mine is batch
        assert mine.inputs.shape == mine.targets.shape


def test_gradients_of_the_shares_add_up_to_those_of_the_batch() -> None:
    network = decoder()
    learner, batch = NextToken(network), tokens(4)
    parameters = list(network.parameters())
    wanted = torch.autograd.grad(learner.loss(batch).total, parameters)
    for count in (2, 3, 4):
        found: list[Any] = [0] * len(parameters)
        for rank in range(count):
            mine, part = share(batch, rank, count)
            made = torch.autograd.grad(learner.loss(mine).total * part, parameters)
            found = [one + other for one, other in zip(found, made, strict=True)]
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_pairs_stay_together_and_need_not_come_out_even() -> None:
    (batch,) = Pairs(pairs(3), batch=3, seed=1).sweep()
    first, second = share(batch, 0, 2), share(batch, 1, 2)
    assert [first[1], second[1]] == pytest.approx([1 / 3, 2 / 3])
    assert torch.equal(first[0].rejected.inputs, batch.rejected.inputs[:1])
    assert torch.equal(second[0].chosen.inputs, batch.chosen.inputs[1:])


def test_alone_a_batch_of_any_kind_is_ones_own() -> None:
    batch = TrialBatch((), 0, 2)
    assert share(batch, 0, 1) == (batch, 1.0)
    with pytest.raises(InvalidRequestError, match="TrialBatch cannot be shared out"):
        share(batch, 0, 2)


def test_what_cannot_be_shared_out_is_refused_before_anything_starts() -> None:
    divisible(3, "rewards", 1)
    divisible(6, "text", 3)
    with pytest.raises(InvalidRequestError, match=r"training.batch: 7 .* among 4(.|\n)*can is 8"):
        divisible(7, "text", 4)
    with pytest.raises(InvalidRequestError, match=r"objective.kind: rewards(.|\n)*torchrun"):
        divisible(8, "rewards", 4)
