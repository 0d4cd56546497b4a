"""The runtime under a simulator: the real loop and scheduler, a fake clock and a fake model.

The model costs time instead of taking it: so many seconds for a step and so many for each unit
of work in it. A million requests of many clients, with priorities, deadlines, common prompts and
storms of cancellations, then take minutes, and what the scheduler promises can be looked at. Run
as a script it prints how one machine, and eight behind a router, would behave.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch

from studiolo.errors import BusyError, DeadlineError, RequestCancelledError
from studiolo.family.prefix import PrefixCache
from studiolo.nn.network import PAGE
from studiolo.runtime.loop import Loop
from studiolo.runtime.queue import Job
from studiolo.runtime.scheduler import Pace

PAGE_BYTES = 1000


class Past:
    """A past of pages that forks share, and that holds nothing."""

    __slots__ = ("length", "pages")

    def __init__(self, length: int = 0, pages: list[object] | None = None) -> None:
        self.length, self.pages = length, pages or []

    @property
    def parts(self) -> Mapping[int, int]:
        """As :attr:`Cache.parts`."""
        return {id(page): PAGE_BYTES for page in self.pages}

    def fork(self, length: int | None = None) -> Self:
        """As :meth:`Cache.fork`."""
        length = self.length if length is None else length
        return type(self)(length, self.pages[: length // PAGE])

    def read(self, count: int) -> None:
        """Grow by ``count`` tokens."""
        self.length += count
        while len(self.pages) * PAGE < self.length:
            self.pages.append(object())


@dataclass(slots=True)
class Ask:
    """A request, and what became of it. Times in seconds; ``end`` is None until it has ended."""

    at: float
    client: str
    prompt: tuple[int, ...]
    new: int
    priority: int = 0
    timeout: float | None = None
    cancel_after: float | None = None
    first: float | None = None
    end: float | None = None
    ends: int = 0
    error: Exception | None = None
    made: int = 0


class Inbox:
    """Where an ask hears of its end."""

    __slots__ = ("ask", "clock")

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self.ask, self.clock = ask, clock

    def event(self, item: object) -> None:
        """Nothing: nobody watches."""

    def end(self, sample: object, error: Exception | None) -> None:
        """Note when and how."""
        self.ask.end, self.ask.error = self.clock.now, error
        self.ask.ends += 1


class Clock:
    """Time that a model's steps and an idle machine move on."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class Writing:
    """A fake text on its way."""

    __slots__ = ("ask", "left", "past", "unread")
    least = 1

    def __init__(self, ask: Ask, past: Past) -> None:
        self.ask, self.past = ask, past
        self.unread, self.left = len(ask.prompt) - past.length, ask.new

    @property
    def done(self) -> bool:
        """Whether all is written."""
        return self.left == 0

    @property
    def demand(self) -> int:
        """What is left to read, or one token."""
        return self.unread or 1

    def preview(self) -> int:
        """How many tokens are written."""
        return self.ask.new - self.left


class FakeModel:
    """Takes ``step`` seconds for a step and ``unit`` for each token in it, on ``clock``."""

    def __init__(self, clock: Clock, step: float, unit: float, prefix_bytes: int) -> None:
        self.clock, self.step, self.unit = clock, step, unit
        self.prefix: PrefixCache[Past] = PrefixCache(prefix_bytes)
        self.steps = self.job_steps = self.prompt_tokens = self.open = 0
        self.longest_step = 0.0
        self.work: dict[str, int] = {}

    def weigh(self, request: Ask) -> int:
        """Pages at full length."""
        return -(-(len(request.prompt) + request.new) // PAGE) * PAGE_BYTES

    def begin(self, request: Ask, rng: torch.Generator) -> Writing:
        """Look what is known of the prompt."""
        self.open += 1
        self.prompt_tokens += len(request.prompt)
        return Writing(request, self.prefix.longest(request.prompt) or Past())

    def advance(
        self, progresses: Sequence[Writing], grants: Sequence[int]
    ) -> Mapping[int, Exception]:
        """Let time pass."""
        seconds = self.step + self.unit * sum(grants)
        self.longest_step = max(self.longest_step, seconds)
        self.clock.now += seconds
        self.steps += 1
        self.job_steps += len(progresses)
        work = self.work
        for progress, grant in zip(progresses, grants, strict=True):
            ask = progress.ask
            work[ask.client] = work.get(ask.client, 0) + grant
            if progress.unread:
                progress.past.read(grant)
                progress.unread -= grant
                if progress.unread:
                    continue
                self.prefix.remember(ask.prompt, progress.past)
                ask.first = self.clock.now
            progress.left -= 1
            ask.made += 1
        return {}

    def finish(self, progress: Writing) -> int:
        """How much was written."""
        self.open -= 1
        return progress.preview()


class Machine:
    """One loop over one fake model."""

    def __init__(
        self,
        *,
        step: float = 0.004,
        unit: float = 0.0015,
        pace: Pace | None = None,
        memory_pages: int = 4000,
        prefix_pages: int = 2000,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.clock = Clock()
        self.model = FakeModel(self.clock, step, unit, prefix_pages * PAGE_BYTES)
        self.loop = Loop(memory=memory_pages * PAGE_BYTES, weights=weights, clock=self.clock)
        self.lane = self.loop.lane(pace or Pace())

    def submit(self, ask: Ask) -> Job | None:
        """Let ``ask`` in; None, and its error noted, when the queue is full."""
        inbox = Inbox(ask, self.clock)
        try:
            return self.loop.submit(
                self.lane,
                self.model,
                ask,
                inbox,
                client=ask.client,
                priority=ask.priority,
                timeout=ask.timeout,
            )
        except BusyError as error:
            inbox.end(None, error)
            return None

    @property
    def load(self) -> int:
        """Requests that wait or are under way."""
        return self.loop.scheduler.jobs

    def run_until(self, moment: float) -> None:
        """Turn until ``moment``, idle where there is nothing to do."""
        while self.clock.now < moment:
            if not self.loop.turn():
                due = self.loop.scheduler.due
                self.clock.now = moment if due is None else min(moment, max(due, self.clock.now))
                if due is not None and due <= self.clock.now < moment:
                    self.loop.turn()

    def drain(self) -> None:
        """Turn until nothing is left."""
        while self.load:
            if not self.loop.turn():
                assert self.loop.scheduler.due is not None, "work is left and nothing moves"
                self.clock.now = max(self.clock.now, self.loop.scheduler.due)


Router = Callable[[Sequence[Machine], Ask], Machine]


def least_loaded(machines: Sequence[Machine], ask: Ask) -> Machine:
    """The machine with the fewest requests."""
    return min(machines, key=lambda machine: machine.load)


def by_prompt(machines: Sequence[Machine], ask: Ask) -> Machine:
    """The machine that reads this beginning, unless it has clearly more to do than another."""
    favourite = machines[hash(ask.prompt[:PAGE]) % len(machines)]
    other = least_loaded(machines, ask)
    return favourite if favourite.load <= 1.25 * other.load + 4 else other


def simulate(
    machines: Sequence[Machine],
    asks: Iterable[Ask],
    route: Router = least_loaded,
    storm: Callable[[Ask], bool] = lambda ask: False,
) -> list[Ask]:
    """Send ``asks``, in the order of their times, and turn until all have ended.

    An ask for which ``storm`` is true cancels every request of its client first.
    """
    done: list[Ask] = []
    cancels: list[tuple[float, Machine, Job]] = []
    mine: dict[str, list[tuple[Machine, Job]]] = {}
    for ask in asks:
        for machine in machines:
            machine.run_until(ask.at)
        due, cancels = _split(cancels, ask.at) if len(cancels) > 50 else ([], cancels)
        for _, machine, job in due:
            machine.loop.cancel(job)
        if storm(ask):
            for machine, job in mine.pop(ask.client, []):
                machine.loop.cancel(job)
        machine = route(machines, ask)
        accepted = machine.submit(ask)
        done.append(ask)
        if accepted is not None:
            if ask.cancel_after is not None:
                cancels.append((ask.at + ask.cancel_after, machine, accepted))
            open_jobs = mine.setdefault(ask.client, [])
            open_jobs.append((machine, accepted))
            if len(open_jobs) > 4000:
                mine[ask.client] = [each for each in open_jobs if each[1].state != "ended"]
    for _, machine, job in cancels:
        machine.loop.cancel(job)
    for machine in machines:
        machine.drain()
    return done


def _split(
    cancels: list[tuple[float, Machine, Job]], moment: float
) -> tuple[list[tuple[float, Machine, Job]], list[tuple[float, Machine, Job]]]:
    return [c for c in cancels if c[0] <= moment], [c for c in cancels if c[0] > moment]


def traffic(
    count: int,
    rate: float,
    *,
    seed: int = 0,
    clients: int = 50,
    systems: int = 20,
    tail: tuple[int, int] = (8, 60),
    new: tuple[int, int] = (4, 28),
    troubles: bool = True,
) -> Iterator[Ask]:
    """``count`` requests, ``rate`` a second on average, in bursts; few clients ask for most.

    Each client has one of ``systems`` system prompts of 64 to 256 tokens before its own words.
    One prompt in a hundred is of 2,048 tokens. With ``troubles``, some requests have priorities,
    deadlines, or are cancelled.
    """
    rng = random.Random(seed)
    prompts = [tuple([-1 - i] * (64 + 32 * (i % 7))) for i in range(systems)]
    names = [f"client {i}" for i in range(clients)]
    shares = [1 / (i + 1) for i in range(clients)]
    now = 0.0
    for number in range(count):
        now += rng.expovariate(rate) * (0.2 if number // 500 % 3 else 2.6)
        i = rng.choices(range(clients), shares)[0]
        length = 2048 if rng.random() < 0.01 else rng.randint(*tail)
        ask = Ask(now, names[i], prompts[i % systems] + (number,) * length, rng.randint(*new))
        if troubles:
            chance = rng.random()
            ask.priority = -1 if chance < 0.2 else 1 if chance > 0.9 else 0
            if rng.random() < 0.05:
                ask.timeout = rng.uniform(0.05, 5.0)
            if rng.random() < 0.05:
                ask.cancel_after = rng.expovariate(2.0)
        yield ask


@dataclass
class Summary:
    """What a simulation showed. Times in seconds of the simulated clock."""

    requests: int
    finished: int
    refused: int
    late: int
    cancelled: int
    seconds: float
    tokens: int
    first: list[float] = field(repr=False)
    saved: float = 0.0
    spread: float = 0.0

    @classmethod
    def of(cls, machines: Sequence[Machine], asks: Sequence[Ask]) -> Self:
        """Sum up what ``asks`` became on ``machines``."""
        kinds = [type(ask.error) for ask in asks]
        counts = [machine.model.job_steps for machine in machines]
        return cls(
            requests=len(asks),
            finished=kinds.count(type(None)),
            refused=kinds.count(BusyError),
            late=kinds.count(DeadlineError),
            cancelled=kinds.count(RequestCancelledError),
            seconds=max(machine.clock.now for machine in machines),
            tokens=sum(ask.made for ask in asks),
            first=sorted(ask.first - ask.at for ask in asks if ask.first is not None),
            saved=sum(m.model.prefix.saved for m in machines)
            / max(1, sum(m.model.prompt_tokens for m in machines)),
            spread=max(counts) / (sum(counts) / len(counts)),
        )

    def waited(self, share: float) -> float:
        """Seconds to the first token that this share of the requests did not exceed."""
        return self.first[min(len(self.first) - 1, int(share * len(self.first)))]


def main() -> None:
    """Print how one machine and eight would behave."""
    pace = Pace(budget=512, live=256, waiting=4096)
    columns = ("machines", "router", "requests/s", "refused", "tokens/s", "first token, median",
               "99 %", "prompt tokens not read again", "busiest / mean")  # fmt: skip
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for count, name, route, rate in (
        (1, "–", least_loaded, 22.0),
        (8, "least loaded", least_loaded, 176.0),
        (8, "by prompt, else least loaded", by_prompt, 176.0),
    ):
        machines = [
            Machine(step=0.008, unit=5e-5, pace=pace, memory_pages=20_000, prefix_pages=100)
            for _ in range(count)
        ]
        started = time.perf_counter()
        asks = simulate(
            machines,
            traffic(40_000, rate, clients=400, systems=200, new=(50, 400), troubles=False),
            route,
        )
        took = time.perf_counter() - started
        found = Summary.of(machines, asks)
        cells = (str(count), name, f"{found.finished / found.seconds:,.0f}", f"{found.refused:,}",
                 f"{found.tokens / found.seconds:,.0f}", f"{found.waited(0.5) * 1000:,.0f} ms",
                 f"{found.waited(0.99) * 1000:,.0f} ms", f"{found.saved:.0%}",
                 f"{found.spread:.2f}")  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)
        steps = sum(machine.model.job_steps for machine in machines)
        print(f"<!-- {steps / took:,.0f} scheduled steps a second of real time -->", flush=True)


if __name__ == "__main__":
    main()
