"""What is done next, for many requests to several models: decided here, done elsewhere.

A pure state machine: it holds no thread, no tensor and no model, and its clock is handed in, so
that a simulator can run the very same code over a million requests.

Notable choices. Every model has a *lane*; the lane that has had the least machine time goes
next. A step of a lane has a budget of work, and *the shortest demand is served first*: so texts
that are being written go on at every step, short prompts overtake long ones, and a huge prompt
takes what is left, in parts. A quarter is first given to whoever has waited longest for a grant,
so that the huge prompt moves too; in the first step of somebody whom it suffices, nobody else has
more than that. *Where nobody can be done in a step anyway*, steps are long, and are broken off when
somebody comes. The last eighth of the places is for clients that have none.
*A lower priority stands still* while a higher one is under way, but for one job in every eighth
step: a step takes as long as all that is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from operator import attrgetter

from studiolo.runtime.memory import SPARE, Memory
from studiolo.runtime.queue import PATIENCE, Job, Queue

SHARE = 4
"""One part in so many of a budget goes first to whoever has waited longest."""
_age = attrgetter("last", "number")


@dataclass(frozen=True)
class Pace:
    """How much a model does at a time.

    ``budget``: units of work to a step, beyond which a step takes longer than others should
    wait. ``long``: as much where it can be broken off. ``live``: requests under way at once.
    ``waiting``: requests that may queue.
    """

    budget: int = 64
    long: int = 256
    live: int = 96
    waiting: int = 1024


class Lane:
    """The requests to one model.

    ``spent``: seconds of machine time that it has had. ``long``: whether the step granted last is
    one to be broken off when somebody comes.
    """

    def __init__(self, pace: Pace, memory: Memory, weights: Mapping[str, float]) -> None:
        self.pace, self.memory = pace, memory
        self.queue = Queue(pace.waiting, weights)
        self.live: dict[Job, None] = {}
        self.spent = 0.0
        self.long = self._broken = False
        self._turn = 0
        self._claim: Job | None = None
        self._open = pace.live - pace.live // SPARE  # places for clients that have one

    @property
    def busy(self) -> bool:
        """Whether anything waits or is under way."""
        return bool(self.live) or len(self.queue) > 0

    def admit(self) -> Job | None:
        """Let the next job in, if there is place and memory; it is to be begun now."""
        count = len(self.live)
        if count >= self.pace.live or not len(self.queue):
            return None
        job = self._claim
        if job is not None:
            if not self._fits(job, False):
                return None
        elif count >= self._open and not self.queue.newcomers:
            return None
        else:
            job = self.queue.choose(self._fits)
            if job is None:
                return None
        self._claim = None
        self.queue.begin(job)
        self.live[job] = None
        return job

    def grant(self, *, alone: bool = False) -> list[tuple[Job, int]]:
        """Who takes part in the next step, and with how much work.

        ``alone``: no other lane has anything to do, and a step of this one can be broken off.
        """
        self._turn += 1
        jobs = self._called()
        demands = {job: job.progress.demand for job in jobs}
        left = self.pace.budget
        # A step that was broken off is followed by one that is not, so that something is done.
        self.long = alone and not self._broken and min(demands.values(), default=0) > left
        self._broken = False
        if self.long:
            left = self.pace.long
        if sum(demands.values()) <= left:
            grants = demands
        else:
            grants, hurried = {}, False
            oldest = min(jobs, key=_age)
            share = left // SHARE
            grants[oldest] = min(demands[oldest], max(share, oldest.progress.least))
            left -= grants[oldest]
            jobs.sort(key=attrgetter("last"))  # sorts are stable: the last one counts most
            jobs.sort(key=demands.__getitem__)
            jobs.sort(key=attrgetter("priority"), reverse=True)
            for job in jobs:
                if left <= 0:
                    break
                given = grants.get(job, 0)
                more = min(demands[job] - given, left)
                if given + more == demands[job]:
                    hurried |= job.last < 0
                elif hurried:
                    more = min(more, max(0, share - given))
                if more and (given or more >= job.progress.least):
                    grants[job] = given + more
                    left -= more
        for job in grants:
            job.last = self._turn
        self.queue.charge(grants)
        return list(grants.items())

    def undo(self, grants: Mapping[Job, int]) -> None:
        """The step with these grants was broken off: what was paid for it is to be done yet."""
        self._broken = True
        for job, work in grants.items():
            job.prepaid += work

    def end(self, job: Job) -> None:
        """Forget ``job``, and have its place and memory back."""
        if job.state == "live":
            del self.live[job]
            self.memory.give(job.memory)
        elif self._claim is job:
            self._claim = None
            self.memory.renounce(job)
        self.queue.end(job)

    def _called(self) -> list[Job]:
        """Who may take part in the next step: the highest priority there is.

        In one of eight also whoever of the others has waited longest, so that nobody starves.
        """
        jobs = [job for job in self.live if job.progress is not None]
        highest = max((job.priority for job in jobs), default=0)
        others = [job for job in jobs if job.priority < highest]
        if not others:
            return jobs
        first = [job for job in jobs if job.priority == highest]
        if self._turn % PATIENCE == 0:
            first.append(min(others, key=_age))
        return first

    def _fits(self, job: Job, holds: bool) -> bool | None:
        if holds and len(self.live) >= self._open:
            return None
        if self.memory.take(job.memory, job, holds=holds):
            return True
        if self.memory.claimant is job:
            self._claim = job
        return None if self.memory.claimant is None else False


class Scheduler:
    """The lanes of one machine, and the deadlines of what is in them."""

    def __init__(self, memory: Memory, clock: Callable[[], float]) -> None:
        self.memory, self.clock = memory, clock
        self._busy: set[Lane] = set()
        self._deadlines: list[tuple[float, int, Job]] = []
        self._count = self._jobs = 0

    def submit(self, lane: Lane, job: Job) -> None:
        """Let ``job`` wait in ``lane``.

        Raises :class:`MemoryLimitError` for what can never fit, and :class:`BusyError`.
        """
        self.memory.check(job.memory)
        lane.queue.put(job)
        job.lane = lane
        if lane not in self._busy:  # time it did not ask for is not owed to it
            lane.spent = max(lane.spent, min((other.spent for other in self._busy), default=0.0))
            self._busy.add(lane)
        self._jobs += 1
        if job.deadline is not None:
            if len(self._deadlines) > 2 * self._jobs + 64:  # mostly of jobs that have ended
                self._deadlines = [each for each in self._deadlines if each[2].state != "ended"]
                heapify(self._deadlines)
            self._count += 1
            heappush(self._deadlines, (job.deadline, self._count, job))

    def end(self, job: Job) -> None:
        """Forget ``job``, in whatever state; once is enough, and twice does no harm."""
        if job.state == "ended":
            return
        job.lane.end(job)
        self._jobs -= 1
        if not job.lane.busy:
            self._busy.discard(job.lane)

    def lanes(self) -> list[Lane]:
        """Those with something to do, the one that has had the least time first."""
        return sorted(self._busy, key=lambda lane: lane.spent)

    def expired(self) -> list[Job]:
        """The jobs whose deadline has passed; each is named once, and is to be ended."""
        late, now = [], self.clock()
        while self._deadlines and (
            self._deadlines[0][0] <= now or self._deadlines[0][2].state == "ended"
        ):
            job = heappop(self._deadlines)[2]
            if job.state != "ended":
                late.append(job)
        return late

    @property
    def due(self) -> float | None:
        """When the next deadline passes, at the earliest."""
        return self._deadlines[0][0] if self._deadlines else None

    @property
    def jobs(self) -> int:
        """How many wait or are under way."""
        return self._jobs
