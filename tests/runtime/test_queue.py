"""The queue alone: turns among clients, priorities, and that nothing is forgotten."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from studiolo.errors import BusyError
from studiolo.runtime.queue import PATIENCE, REMEMBERED, Job, Queue


def fill(queue: Queue, count: int, client: str, priority: int = 0) -> list[Job]:
    jobs = [Job(client, priority, None, 0) for _ in range(count)]
    for job in jobs:
        queue.put(job)
    return jobs


def serve(queue: Queue, work: int = 1, *, stays: bool = False) -> Job:
    job = queue.choose(lambda job, holds: True)
    assert job is not None
    queue.begin(job)
    queue.prepay(job, work)
    queue.charge({job: work})
    if not stays:
        queue.end(job)
    return job


def test_a_full_queue_says_to_try_again() -> None:
    queue = Queue(2, {})
    first, _ = fill(queue, 2, "a")
    with pytest.raises(BusyError, match=r"2 requests are waiting[^\n]*\nTry again"):
        fill(queue, 1, "a")
    queue.end(first)
    fill(queue, 1, "a")
    assert len(queue) == 2


def test_a_flood_from_one_does_not_hold_up_another() -> None:
    queue = Queue(10_000, {})
    fill(queue, 9_000, "flood")
    fill(queue, 5, "one")
    served = Counter(serve(queue).client for _ in range(12))
    assert served["one"] >= 4


def test_turns_follow_the_weights() -> None:
    queue = Queue(10_000, {"b": 3.0})
    fill(queue, 2000, "a")
    fill(queue, 2000, "b")
    fill(queue, 2000, "c")
    served = Counter(serve(queue).client for _ in range(1000))
    assert served["b"] == pytest.approx(600, abs=2)
    assert served["a"] == pytest.approx(200, abs=2)


def test_work_counts_and_not_requests() -> None:
    queue = Queue(10_000, {})
    fill(queue, 2000, "long")
    fill(queue, 2000, "short")
    work: Counter[str] = Counter()
    for _ in range(1000):
        job = queue.choose(lambda job, holds: True)
        assert job is not None
        amount = 20 if job.client == "long" else 10
        queue.begin(job)
        queue.prepay(job, amount // 2)
        queue.charge({job: amount})
        queue.end(job)
        work[job.client] += amount
    assert abs(work["long"] - work["short"]) <= 20


def test_turns_are_not_saved_up_by_staying_away() -> None:
    queue = Queue(10_000, {})
    fill(queue, 3000, "steady")
    fill(queue, 1, "guest")
    for _ in range(1000):
        serve(queue)
    fill(queue, 1000, "guest")
    served = Counter(serve(queue).client for _ in range(100))
    assert 40 <= served["guest"] <= 55


def test_work_that_was_paid_for_and_not_done_is_given_back() -> None:
    queue = Queue(100, {})
    fill(queue, 20, "a")
    fill(queue, 20, "b")
    job = queue.choose(lambda job, holds: True)
    assert job is not None
    queue.begin(job)
    queue.prepay(job, 1_000_000)
    queue.end(job)
    served = Counter(serve(queue).client for _ in range(20))
    assert abs(served["a"] - served["b"]) <= 4


def test_higher_priorities_go_first_and_lower_ones_are_never_forgotten() -> None:
    queue = Queue(10_000, {})
    low = fill(queue, 3, "a", priority=-1)
    fill(queue, 1000, "b", priority=5)
    order = [serve(queue) for _ in range(4 * PATIENCE)]
    assert [order.index(job) for job in low] == [PATIENCE - 1, 2 * PATIENCE - 1, 3 * PATIENCE - 1]
    assert {job.priority for job in order} == {-1, 5}


def test_who_does_not_fit_may_be_passed_over_or_waited_for() -> None:
    queue = Queue(100, {})
    fill(queue, 3, "a")
    (b,) = fill(queue, 1, "b")
    assert queue.choose(lambda job, holds: None if job.client == "a" else True) is b
    assert queue.choose(lambda job, holds: False) is None
    assert queue.choose(lambda job, holds: None) is None
    assert len(queue) == 4


def test_newcomers_are_counted() -> None:
    queue = Queue(100, {})
    fill(queue, 2, "a")
    assert queue.newcomers == 1
    job = serve(queue, stays=True)
    assert queue.newcomers == 0
    fill(queue, 1, "b")
    assert queue.newcomers == 1
    queue.end(job)
    assert queue.newcomers == 2


def test_nothing_grows_with_what_has_come_and_gone() -> None:
    queue = Queue(100, {})
    fill(queue, 1, "stays")
    for i in range(5000):
        (job,) = fill(queue, 1, f"client {i}", priority=i % 3)
        queue.end(job)
    held = len(queue._flows) + sum(len(heap) for heap in queue._levels.values())
    assert held < REMEMBERED + 500
    assert len(queue) == 1
    assert queue.newcomers == 1


def test_any_order_of_coming_going_and_serving_loses_nobody() -> None:
    for seed in range(30):
        rng = random.Random(seed)
        queue, waiting, live = Queue(50, {"c1": 2.5}), set[Job](), set[Job]()
        for _ in range(400):
            act = rng.random()
            if act < 0.45 and len(queue) < 50:
                waiting.update(fill(queue, 1, f"c{rng.randrange(6)}", rng.randrange(-1, 2)))
            elif act < 0.7 and waiting:
                job = serve(queue, rng.randrange(1, 50), stays=True)
                waiting.remove(job)
                live.add(job)
            elif act < 0.85 and waiting:
                queue.end(job := rng.choice(sorted(waiting, key=lambda job: job.number)))
                waiting.remove(job)
            elif live:
                queue.end(job := rng.choice(sorted(live, key=lambda job: job.number)))
                live.remove(job)
            assert set(queue) == waiting
            holders = {job.client for job in live}
            assert queue.newcomers == len({job.client for job in waiting} - holders)
        while waiting:
            waiting.remove(serve(queue))
        assert queue.choose(lambda job, holds: True) is None
