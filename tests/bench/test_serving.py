from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bench.contestants import Entrant
from bench.contestants.fake_serving import FakeServer
from bench.measure import Standing
from bench.process import ContestantError
from bench.serving import SHORT, Plan, decoded, overtaken, round_of
from bench.serving_child import answered
from bench.text_serving import run_round

PLAN = Plan(streams=(1, 3), prompts=(SHORT, 600), tokens=8)
IDS = list(range(PLAN.needed))
FAKE = Entrant("fake", "bench.contestants.fake_serving", "json", "", "any", "")


def measured(model: str, plan: Plan = PLAN) -> dict[str, float]:
    server = FakeServer(model, 1)

    def send(request: Mapping[str, object]) -> Mapping[str, Any]:
        return answered(server, request)

    return round_of(send, plan, IDS)


def test_a_round_measures_every_column_but_what_the_process_says() -> None:
    values = measured("sound")
    assert set(values) == {m.key for m in PLAN.metrics} - {"peak", "start"}
    assert min(values.values()) > 0
    # A token of all streams takes a millisecond at least, and three streams make three.
    assert 1.2 < values["rate_3"] / values["rate_1"] < 8


def test_who_lets_nobody_in_has_no_such_column() -> None:
    assert "first_busy" not in measured("alone")


def test_too_few_tokens_are_a_failure() -> None:
    with pytest.raises(ContestantError, match="asked for 2 tokens of each"):
        measured("short")


def test_decoding_is_what_more_tokens_take() -> None:
    assert decoded(4, 10, one=1.0, all_of_them=3.0) == 20.0
    with pytest.raises(ContestantError, match="no longer than one"):
        decoded(4, 10, one=1.0, all_of_them=1.0)


def test_many_streams_make_fewer_tokens_each() -> None:
    plan = Plan()
    assert [plan.made(n) for n in plan.streams] == [128, 128, 64, 32]
    assert [Plan(tokens=1).made(n) for n in (1, 64)] == [1, 1]
    assert plan.needed == 2048 + SHORT
    assert Plan(streams=(200,)).needed == 201 * SHORT


def test_a_short_request_that_comes_too_late_says_nothing() -> None:
    with pytest.raises(ContestantError, match="before the short one came"):
        overtaken(lambda prompts, count: None, IDS, IDS[:SHORT], after=0.05)


def test_a_contestant_in_its_own_process() -> None:
    standing = Standing("fake")
    values = run_round(FAKE, "sound", 1, PLAN, IDS, standing)
    assert set(values) == {metric.key for metric in PLAN.metrics}
    assert standing.version == "0"
