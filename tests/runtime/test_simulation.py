"""What the scheduler promises, over many simulated requests; see bench/scheduler.py."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from statistics import fmean

import pytest

from bench.scheduler import Ask, Machine, Summary, by_prompt, least_loaded, simulate, traffic
from studiolo.errors import BusyError, DeadlineError, RequestCancelledError
from studiolo.runtime.scheduler import Pace


def nothing_is_left(machines: Sequence[Machine], asks: Sequence[Ask]) -> None:
    assert all(ask.ends == 1 for ask in asks)
    for machine in machines:
        scheduler, prefix = machine.loop.scheduler, machine.model.prefix
        assert scheduler.jobs == 0
        assert (scheduler.memory.used, scheduler.memory.claimant) == (0, None)
        assert not machine.lane.live
        assert machine.model.open == 0
        held = {page for past in prefix._pasts for page in past.cache.pages}
        assert prefix.nbytes == 1000 * len(held) <= prefix.limit
        prefix.clear()
        assert prefix.nbytes == 0


def storms(seed: int) -> Callable[[Ask], bool]:
    rng = random.Random(seed)
    return lambda ask: rng.random() < 0.002


@pytest.mark.proof
def test_mixed_traffic(proof: Callable[..., int]) -> None:
    """The scheduler over simulated requests: shares, deadlines, storms, starvation, leaks."""
    count = proof("scheduler-simulation", short=20_000, full=1_000_000)
    for part in range(0, count, 100_000):  # bounds what is kept to look at
        machine = Machine()
        size = min(100_000, count - part)
        asks = simulate([machine], traffic(size, 7.0, seed=part), storm=storms(part))
        nothing_is_left([machine], asks)
        found = Summary.of([machine], asks)
        assert found.finished + found.refused + found.late + found.cancelled == size
        assert found.finished > 0.85 * size
        assert min(found.late, found.cancelled) > 0.005 * size
        step = machine.model.longest_step
        assert step < 0.004 + 0.0015 * 80  # a budget of 64, and at most a quarter beyond
        for ask in asks:
            assert ask.end is not None
            if ask.timeout is not None and not isinstance(ask.error, BusyError):
                assert ask.end <= ask.at + ask.timeout + 2 * step
            if isinstance(ask.error, DeadlineError):
                assert ask.timeout is not None
                assert ask.end >= ask.at + ask.timeout
            if isinstance(ask.error, RequestCancelledError):
                assert ask.error.sample is None or ask.made == ask.error.sample
            if ask.error is None:
                assert ask.made == ask.new
        # Higher priorities wait less, and the longest wait is that of a full queue, served.
        waits = {
            priority: fmean(a.first - a.at for a in asks if a.first and a.priority == priority)
            for priority in (-1, 0, 1)
        }
        assert waits[1] < waits[0] < waits[-1]
        assert found.first[-1] < 1024 * machine.clock.now / size * 8
        # Nearly three quarters of all prompt tokens are system prompts that others had too.
        assert found.saved > 0.65


def backlog(clients: dict[str, tuple[int, int]], each: int) -> list[Ask]:
    """``each`` requests at once of every client: (tokens of prompt, tokens to write)."""
    return [
        Ask(0.0, client, (i * 100 + c,) * prompt, new)
        for i in range(each)
        for c, (client, (prompt, new)) in enumerate(clients.items())
    ]


def test_shares_of_the_machine_follow_the_weights_whatever_is_asked_for() -> None:
    clients = {"chat": (30, 40), "read": (300, 2), "write": (4, 60), "twice": (30, 40)}
    machine = Machine(pace=Pace(waiting=10**6), weights={"twice": 2.0}, prefix_pages=0)
    asks = backlog(clients, 6000)
    for ask in asks:
        machine.submit(ask)
    before: dict[str, int] = {}
    while machine.model.steps < 8000:
        machine.loop.turn()
        if machine.model.steps == 2000:
            before = dict(machine.model.work)
    work = {client: done - before[client] for client, done in machine.model.work.items()}
    share = sum(work.values()) / 5
    expected = {"chat": share, "read": share, "write": share, "twice": 2 * share}
    assert work == pytest.approx(expected, rel=0.02)
    machine.loop.abandon("enough")
    nothing_is_left([machine], asks)


def test_a_guest_of_a_flooded_machine_is_served_at_once() -> None:
    machine = Machine(pace=Pace(waiting=10**6), prefix_pages=0)
    flood = backlog({"flood": (200, 100)}, 5000)
    for ask in flood:
        machine.submit(ask)
    machine.run_until(20.0)
    waits = []
    for i in range(50):
        guest = Ask(machine.clock.now, "guest", (i,) * 22, 8)
        machine.submit(guest)
        machine.run_until(machine.clock.now + 3)
        assert guest.first is not None
        waits.append(guest.first - guest.at)
    # Alone it takes 37 ms; here each step is a full one, of 0.1 s.
    assert max(waits) < 0.5
    assert all(ask.first is not None for ask in flood[:100])
    machine.loop.abandon("enough")


def test_a_request_may_be_as_large_as_the_memory() -> None:
    machine = Machine(memory_pages=100)
    large = Ask(1.0, "large", (1,) * 3000, 200)
    small = [Ask(0.0, f"client {i % 9}", (i,) * 60, 30) for i in range(900)]
    asks = simulate([machine], [*small, large])
    nothing_is_left([machine], asks)
    assert large.error is None
    assert large.end is not None
    assert large.end < max(ask.end or 0 for ask in small)


@pytest.mark.parametrize("route", [least_loaded, by_prompt])
def test_eight_machines_behind_a_router(route: Callable[..., Machine]) -> None:
    machines = [Machine(prefix_pages=60) for _ in range(8)]
    asks = simulate(machines, traffic(8000, 40.0, clients=200, systems=100), route)
    nothing_is_left(machines, asks)
    found = Summary.of(machines, asks)
    assert found.refused == 0
    assert found.spread < (1.5 if route is by_prompt else 1.25)
    assert found.saved > (0.45 if route is by_prompt else 0.1)


def test_the_scheduler_itself_is_quick() -> None:
    """Fifty thousand scheduled steps a second, simulator included; half of it on a busy machine."""
    import time

    machine = Machine(prefix_pages=0, pace=Pace(waiting=10_000))
    for ask in backlog({"a": (20, 100), "b": (20, 100)}, 500):
        machine.submit(ask)
    started = time.process_time()
    machine.drain()
    assert machine.model.job_steps / (time.process_time() - started) > 25_000
