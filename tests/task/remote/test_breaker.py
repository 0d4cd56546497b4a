"""The circuit breaker, by its clock."""

from __future__ import annotations

from studiolo.task.remote.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(3, 10.0, clock)
    for _ in range(3):
        assert breaker.wait() == 0
        breaker.failed()
    return breaker, clock


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(3, 10.0, Clock())
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert (breaker.state, breaker.wait()) == ("closed", 0)
    breaker, clock = opened()
    assert (breaker.state, breaker.wait()) == ("open", 10)
    clock.now = 4
    assert breaker.wait() == 6


def test_one_request_tries_and_decides() -> None:
    breaker, clock = opened()
    clock.now = 10
    assert breaker.state == "half-open"
    assert breaker.wait() == 0
    assert breaker.wait() == 10, "one at a time"
    breaker.failed()
    assert (breaker.state, breaker.wait()) == ("open", 10)
    clock.now = 20
    assert breaker.wait() == 0
    breaker.succeeded()
    assert [breaker.wait(), breaker.wait()] == [0, 0]
    breaker.failed()
    assert breaker.state == "closed", "the count has begun anew"


def test_a_try_that_is_given_up_leaves_the_place_to_another() -> None:
    breaker, clock = opened()
    clock.now = 10
    assert breaker.wait() == 0
    breaker.abandoned()
    assert breaker.state == "half-open"
    assert breaker.wait() == 0
