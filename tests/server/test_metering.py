"""What an answer took: its cost, its energy, and what its key has left."""

from __future__ import annotations

import pytest

from studiolo.record.grant import Key, Limits
from studiolo.server.context import Caller, Context
from studiolo.server.limits import Limiter, LimitError
from studiolo.server.metering import count
from studiolo.server.settings import Price, Settings
from studiolo.task.asking import Outcome

SETTINGS = Settings("tiny", "tiny-encoder", prices={"tiny": Price(2.0, 10.0)}, watts=50)
OUTCOME = Outcome(1_000_000, 5, 500_000, 0.1, 4.0)


def context(model: str | None, key: Key | None = None) -> Context:
    return Context("POST /v1/completions", "openai", model=model, caller=Caller(key))


def limiter() -> Limiter:
    return Limiter(lambda key, since: 0.0, clock=lambda: 0.0)


def test_an_answer_costs_what_its_model_does() -> None:
    made = context("tiny")
    count(made, OUTCOME, SETTINGS, limiter())
    assert (made.cost, made.joules, made.outcome) == (2.0 + 5.0, 200.0, OUTCOME)


@pytest.mark.parametrize("model", ["other", None])
def test_a_model_without_a_price_costs_nothing(model: str | None) -> None:
    made = context(model)
    count(made, OUTCOME, SETTINGS, limiter())
    assert made.cost == 0


def test_tokens_are_charged_to_the_key() -> None:
    key = Key("k", "n", "", ("inference",), ("*",), Limits(tokens_per_minute=100), 0.0)
    limits = limiter()
    limits.admit(key)
    count(context("tiny", key), Outcome(60, 0, 70, None, 0.0), SETTINGS, limits)
    with pytest.raises(LimitError, match="100 tokens a minute"):
        limits.admit(key)
