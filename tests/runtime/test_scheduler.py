"""The scheduler: what it grants, whom it lets in, and that no history of calls breaks it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from studiolo.errors import BusyError, MemoryLimitError
from studiolo.runtime.memory import Memory
from studiolo.runtime.queue import Job
from studiolo.runtime.scheduler import SHARE, Lane, Pace, Scheduler
from tests.runtime.toys import Clock


class Part:
    """A progress that only wants: ``demand`` now, then ``after`` steps of ``least``."""

    def __init__(self, demand: int, after: int = 10**9, least: int = 1) -> None:
        self.demand, self.after, self.least = demand, after, least
        self.waited = 0


class Bench:
    """A scheduler with one lane, begun jobs and steps taken at once."""

    def __init__(self, *, memory: int = 1000, weights: dict[str, float] | None = None, **pace: int):
        self.clock = Clock()
        self.scheduler = Scheduler(Memory(memory), self.clock)
        self.lane = Lane(Pace(**pace), self.scheduler.memory, weights or {})
        self.alone = False

    def put(self, part: Part, *, client: str = "", priority: int = 0, size: int = 0) -> Job:
        job = Job(client, priority, None, size, part)
        self.scheduler.submit(self.lane, job)
        return job

    def step(self) -> dict[Job, int]:
        while job := self.lane.admit():
            job.progress = job.payload
            self.lane.queue.prepay(job, job.progress.demand)
        grants = dict(self.lane.grant(alone=self.alone))
        for job in list(self.lane.live):
            part = job.progress
            part.waited = 0 if job in grants else part.waited + 1
        for job, work in grants.items():
            part = job.progress
            assert part.least <= work <= part.demand
            if part.demand > work:
                part.demand = max(part.least, part.demand - work)
            else:
                part.demand, part.after = part.least, part.after - 1
            if part.after < 0:
                self.scheduler.end(job)
        return grants


def test_everyone_gets_all_there_is_when_there_is_enough() -> None:
    bench = Bench(budget=64)
    jobs = [bench.put(Part(n)) for n in (1, 20, 43)]
    assert bench.step() == dict(zip(jobs, (1, 20, 43), strict=True))


def test_a_huge_prompt_takes_what_the_others_leave() -> None:
    bench = Bench(budget=64)
    huge = bench.put(Part(2048))
    assert bench.step() == {huge: 64}
    writing = [bench.put(Part(1)) for _ in range(10)]
    short = bench.put(Part(22))
    grants = bench.step()
    assert grants[short] == 22
    assert [grants[job] for job in writing] == [1] * 10
    assert grants[huge] == 64 // SHARE  # not more, for others wait for their first
    assert bench.step()[huge] == 64 - 1 - 10


def test_where_nobody_can_be_done_a_step_is_long() -> None:
    bench = Bench(budget=64, long=256)
    huge = [bench.put(Part(n)) for n in (2048, 300)]
    assert bench.step() == {huge[0]: 64 // SHARE, huge[1]: 64 - 64 // SHARE}
    bench.alone = True
    assert sum(bench.step().values()) == 256
    assert bench.lane.long
    while huge[1].progress.demand > 64:
        bench.step()
    assert sum(bench.step().values()) == 64  # the second is done within it
    assert not bench.lane.long


def test_after_a_broken_step_comes_a_short_one_and_nobody_pays_twice() -> None:
    bench = Bench(budget=64, long=256)
    bench.alone = True
    huge = bench.put(Part(2048))
    bench.step()
    paid = huge.flow.time
    grants = dict(bench.lane.grant(alone=True))
    assert bench.lane.long
    bench.lane.undo(grants)
    assert bench.step() == {huge: 64}
    assert bench.step() == {huge: 256}
    assert huge.flow.time == paid


def test_a_huge_prompt_moves_however_many_write() -> None:
    bench = Bench(budget=64, live=200, waiting=2000)
    for _ in range(170):
        bench.put(Part(1))
    bench.step()
    huge = bench.put(Part(2048), client="other")
    given = Counter[Job]()
    for _ in range(100):
        grants = bench.step()
        given.update(grants)
        assert sum(grants.values()) <= 64
        assert all(job.progress.waited <= 6 for job in bench.lane.live)
    assert given[huge] >= 100 // 7 * (64 // SHARE)


def test_what_cannot_be_split_is_done_whole_even_beyond_the_budget() -> None:
    bench = Bench(budget=10)
    huge = bench.put(Part(100, after=0, least=100))
    small = [bench.put(Part(4, least=4)) for _ in range(4)]
    seen = Counter[Job]()
    for _ in range(20):
        seen.update(bench.step().keys())
    assert seen[huge] == 1
    assert min(seen[job] for job in small) >= 5


def test_priorities_are_served_first_within_a_step() -> None:
    bench = Bench(budget=8, live=64)
    low = [bench.put(Part(1), priority=-1) for _ in range(20)]
    high = [bench.put(Part(1), priority=1) for _ in range(7)]
    bench.step()
    grants = Counter[Job]()
    for _ in range(160):
        given = bench.step()
        assert len([job for job in low if job in given]) <= 1
        grants.update(given)
    assert sum(grants[job] for job in high) >= 7 * 158
    assert min(grants[job] for job in low) >= 1


def test_the_last_places_are_for_clients_that_have_none() -> None:
    bench = Bench(live=16, waiting=1000)
    for _ in range(100):
        bench.put(Part(1), client="flood")
    bench.step()
    assert len(bench.lane.live) == 14
    guest = bench.put(Part(1), client="guest")
    bench.put(Part(1), client="guest")
    assert guest in bench.step()
    assert Counter(job.client for job in bench.lane.live) == {"flood": 14, "guest": 1}


def test_a_large_request_is_not_starved_by_small_ones() -> None:
    bench = Bench(memory=100)
    for i in range(10):
        bench.put(Part(1, after=3), client=f"small {i}", size=10)
    bench.step()
    large = bench.put(Part(1, after=3), client="large", size=95)
    for i in range(200):
        bench.put(Part(1, after=3 + i % 3), client=f"small {i}", size=10)
    for steps in range(40):  # noqa: B007
        bench.step()
        assert bench.scheduler.memory.used <= 100
        if large.state != "queued":
            break
    assert large.state == "live"
    assert steps < 10


def test_a_claim_in_one_lane_is_honoured_by_another_and_goes_with_its_owner() -> None:
    bench = Bench(memory=100)
    other = Lane(Pace(), bench.scheduler.memory, {})
    bench.put(Part(1), size=50)
    bench.step()
    large = bench.put(Part(1), client="large", size=80)
    bench.step()
    small = Job("", 0, None, 10)
    bench.scheduler.submit(other, small)
    assert other.admit() is None
    bench.scheduler.end(large)
    assert other.admit() is small


def test_refusals() -> None:
    bench = Bench(memory=100, waiting=3)
    with pytest.raises(MemoryLimitError):
        bench.put(Part(1), size=101)
    for _ in range(3):
        bench.put(Part(1))
    with pytest.raises(BusyError):
        bench.put(Part(1))
    assert bench.scheduler.jobs == 3


def test_the_lane_that_had_the_least_time_goes_first() -> None:
    bench = Bench()
    other = Lane(Pace(), bench.scheduler.memory, {})
    bench.put(Part(1))
    bench.lane.spent = 5.0
    bench.scheduler.submit(other, job := Job("", 0, None, 0))
    assert other.spent == 5.0
    other.spent = 4.0
    assert bench.scheduler.lanes() == [other, bench.lane]
    bench.scheduler.end(job)
    assert bench.scheduler.lanes() == [bench.lane]


def test_deadlines_are_named_once_and_forgotten_with_their_jobs() -> None:
    bench = Bench(waiting=10_000)
    late, early, gone = (Job("", 0, t, 0) for t in (9.0, 5.0, 4.0))
    for job in (late, early, gone):
        bench.scheduler.submit(bench.lane, job)
    bench.scheduler.end(gone)
    assert bench.scheduler.expired() == []
    assert bench.scheduler.due == 5.0
    bench.clock.now = 6.0
    assert bench.scheduler.expired() == [early]
    assert bench.scheduler.expired() == []
    for _ in range(5000):
        job = Job("", 0, 1e9, 0)
        bench.scheduler.submit(bench.lane, job)
        bench.scheduler.end(job)
    assert len(bench.scheduler._deadlines) < 200


class Histories(RuleBasedStateMachine):
    """Any order of submissions, steps, cancellations, deadlines and endings."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(memory=100, budget=16, live=8, waiting=12)
        self.jobs: list[Job] = []

    @rule(
        client=strategies.sampled_from("abc"),
        priority=strategies.integers(-1, 1),
        size=strategies.integers(0, 101),
        demand=strategies.integers(1, 60),
        after=strategies.integers(0, 5),
        least=strategies.integers(1, 4),
        seconds=strategies.none() | strategies.integers(1, 20),
    )
    def submit(
        self,
        client: str,
        priority: int,
        size: int,
        demand: int,
        after: int,
        least: int,
        seconds: int | None,
    ) -> None:
        bench = self.bench
        deadline = None if seconds is None else bench.clock.now + seconds
        part = Part(max(least, demand), after, least)
        job = Job(client, priority, deadline, size, part)
        full = len(bench.lane.queue) == 12
        if size > 100 or full:
            with pytest.raises((MemoryLimitError, BusyError)):
                bench.scheduler.submit(bench.lane, job)
            return
        bench.scheduler.submit(bench.lane, job)
        self.jobs.append(job)

    @rule()
    def step(self) -> None:
        grants = self.bench.step()
        self.bench.clock.now += 1
        for job in self.bench.scheduler.expired():
            assert job.deadline is not None
            assert job.deadline <= self.bench.clock.now
            self.bench.scheduler.end(job)
        assert sum(grants.values()) <= 16 + 4
        if self.bench.lane.live:
            assert grants

    @precondition(lambda self: self.jobs)
    @rule(data=strategies.data())
    def cancel(self, data: strategies.DataObject) -> None:
        self.bench.scheduler.end(data.draw(strategies.sampled_from(self.jobs)))

    @invariant()
    def everything_adds_up(self) -> None:
        bench = self.bench
        live = [job for job in self.jobs if job.state == "live"]
        queued = [job for job in self.jobs if job.state == "queued"]
        assert set(live) == set(bench.lane.live)
        assert set(queued) == set(bench.lane.queue)
        assert bench.scheduler.memory.used == sum(job.memory for job in live) <= 100
        assert bench.scheduler.jobs == len(live) + len(queued)
        assert len(live) <= 8
        assert bench.lane.busy == bool(live or queued) == bool(bench.scheduler.lanes())

    def teardown(self) -> None:
        # Whatever came before, everything that is left is served to its end.
        for _ in range(2000):
            if not self.bench.lane.busy:
                break
            self.bench.step()
        assert not self.bench.lane.busy
        assert self.bench.scheduler.memory.used == 0
        assert self.bench.scheduler.memory.claimant is None


Histories.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
