"""Buckets and budgets against what they are by definition, on a clock of the test's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.record.grant import Budget, Key, Limits
from studiolo.server.limits import FRESH, LATER, MINUTE, Limiter, LimitError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def key(id: str = "a", **limits: Any) -> Key:
    return Key(id, "n", "", ("inference",), ("*",), Limits(**limits), created=0.0)


def limiter(clock: Clock, spent: float = 0.0) -> Limiter:
    return Limiter(lambda key, since: spent, clock, lambda: 1_000_000.0)


def admitted(limits: Limiter, who: Key) -> float:
    """0 if a request is let in, else the seconds after which to come back."""
    try:
        limits.admit(who)
    except LimitError as error:
        return error.retry_after
    return 0.0


def test_a_key_without_limits_asks_as_it_likes() -> None:
    limits = limiter(Clock())
    assert all(admitted(limits, key()) == 0 for _ in range(1000))


def test_requests_flow_as_the_bucket_fills() -> None:
    clock = Clock()
    limits, who = limiter(clock), key(requests_per_minute=6)
    assert [admitted(limits, who) for _ in range(6)] == [0] * 6
    wait = admitted(limits, who)
    assert wait == pytest.approx(10)
    clock.now += wait / 2
    assert admitted(limits, who) == pytest.approx(wait / 2)
    clock.now += wait / 2
    assert admitted(limits, who) == 0
    assert admitted(limits, who) > 0
    clock.now += 10 * MINUTE  # a bucket holds no more than a minute's worth
    assert [admitted(limits, who) > 0 for _ in range(7)] == [False] * 6 + [True]


def test_tokens_are_taken_when_an_answer_is_over_and_a_debt_is_waited_for() -> None:
    clock = Clock()
    limits, who = limiter(clock), key(tokens_per_minute=60)
    assert admitted(limits, who) == 0
    limits.charge(who, 90, 0.0)
    assert admitted(limits, who) == pytest.approx(30)
    clock.now += 30.001
    assert admitted(limits, who) == 0


def test_keys_do_not_pay_for_each_other() -> None:
    limits = limiter(Clock())
    one, other = key("a", requests_per_minute=1), key("b", requests_per_minute=1)
    assert admitted(limits, one) == 0
    assert admitted(limits, one) > 0
    assert admitted(limits, other) == 0


def test_a_limit_that_changes_holds_at_once() -> None:
    limits = limiter(Clock())
    assert admitted(limits, key(requests_per_minute=1)) == 0
    assert admitted(limits, key(requests_per_minute=1)) > 0
    assert admitted(limits, key(requests_per_minute=2)) == 0


def test_a_budget_is_read_and_counted_on() -> None:
    clock, asked = Clock(), []

    def spent(id: str, since: float) -> float:
        asked.append((id, since))
        return 0.5 * len(asked)

    limits = Limiter(spent, clock, lambda: 1_000_000.0)
    who = key(budget=Budget(1.2, "total"))
    assert admitted(limits, who) == 0
    assert asked == [("a", 0.0)]
    limits.charge(who, 10, 0.6)  # 1.1 by now, without another look
    assert admitted(limits, who) == 0
    limits.charge(who, 10, 0.2)
    assert admitted(limits, who) == LATER  # a budget in all is never filled again
    assert len(asked) == 1
    clock.now += FRESH
    assert admitted(limits, who) == 0  # 1.0, the records say
    assert len(asked) == 2
    clock.now += FRESH
    assert admitted(limits, who) > 0


def test_a_spent_budget_says_when_its_period_is_over() -> None:
    limits = Limiter(lambda key, since: 5.0, Clock(), lambda: 86_400.0 * 3 - 60)
    with pytest.raises(LimitError, match="has spent 5 of its budget of 2/day") as full:
        limits.admit(key(budget=Budget(2, "day")))
    assert full.value.retry_after == pytest.approx(60)
    assert full.value.status == 429


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 20)), max_size=40),
)
def test_no_minute_lets_in_more_than_two_buckets(
    size: int, visits: list[tuple[float, int]]
) -> None:
    clock = Clock()
    limits, who, let_in = limiter(clock), key(requests_per_minute=size), []
    for pause, times in visits:
        clock.now += pause
        for _ in range(times):
            if admitted(limits, who) == 0:
                let_in.append(clock.now)
    for start in let_in:
        assert sum(start <= at < start + MINUTE for at in let_in) <= 2 * size
