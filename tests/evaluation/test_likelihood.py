"""Scoring windows, and the numbers that are made of log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from studiolo.errors import InvalidRequestError
from studiolo.evaluation.likelihood import Likelihood, token_log_likelihoods, windows


@given(length=st.integers(2, 500), context=st.integers(2, 64))
def test_every_token_but_the_first_is_scored_once_with_half_a_context(
    length: int, context: int
) -> None:
    scored: list[int] = []
    for start, end, first in windows(length, context):
        assert end - start <= context
        assert start < first < end
        assert start == 0 or first - start >= context // 2
        scored += range(first, end)
    assert scored == list(range(1, length))


class Pairs:
    """Scores a token by the one before it: any window must give the same."""

    def log_likelihood(
        self, tokens: Tensor, report: Callable[[int], None] = lambda done: None
    ) -> Tensor:
        for done in range(1, len(tokens)):
            report(done)
        return -(tokens[1:] + 3.0 * tokens[:-1])


@pytest.mark.parametrize("context", [2, 3, 16, 100, 200])
def test_windows_are_put_together_in_order(context: int) -> None:
    tokens = torch.arange(100)
    told: list[int] = []
    scored = token_log_likelihoods(Pairs(), tokens, context, told.append)
    assert torch.equal(scored, Pairs().log_likelihood(tokens))
    assert told == list(range(1, 100))


def test_a_context_of_one_scores_nothing() -> None:
    with pytest.raises(InvalidRequestError, match="needs at least 2"):
        token_log_likelihoods(Pairs(), torch.arange(9), 1)


def test_one_token_cannot_be_scored() -> None:
    with pytest.raises(InvalidRequestError, match="1 token"):
        token_log_likelihoods(Pairs(), torch.tensor([4]), 16)


def test_a_uniform_guess_over_256_bytes_has_eight_bits_and_perplexity_256() -> None:
    found = Likelihood.of(torch.full((10,), -math.log(256)), 10)
    assert found.token_count == 10
    assert found.bits_per_byte == pytest.approx(8)
    assert found.perplexity == pytest.approx(256)
    assert found.nats_per_token == pytest.approx(math.log(256))
