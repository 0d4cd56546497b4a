"""The one loop: requests of any family become progresses, and all are advanced step by step.

It asks the scheduler what comes next, has the model do it, and tells whoever asked. Knows the
contract and no family. It has no thread: each :meth:`Loop.turn` is one step of one model, made
by whoever calls it. Requests may be put in and cancelled from any thread meanwhile; what is
under way is touched between two steps, by the thread that turns.

What fails, fails alone: in being begun, in its step, in being watched or in being finished.
Only a step that a model gives up as a whole takes down all that were in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from studiolo.errors import (
    DeadlineError,
    InterruptedStepError,
    RequestCancelledError,
    RequestCutError,
)
from studiolo.family.contract import GenerativeModel, Interruptible, P, Request, Sample
from studiolo.runtime.memory import Memory
from studiolo.runtime.queue import Job
from studiolo.runtime.scheduler import Lane, Pace, Scheduler
from studiolo.sampler.decoding import generator

Model = GenerativeModel[Any, Any, Any]


class Sink(Protocol):
    """Where a request's events go; called by the thread that turns, and not to raise."""

    def event(self, item: object) -> None:
        """What the request's watcher had to say after a step."""

    def end(self, sample: object, error: Exception | None) -> None:
        """The sample, or else the error; nothing comes after it."""


class Work(NamedTuple):
    """What the loop itself needs to know of a request."""

    model: Model
    request: Any
    seed: int
    sink: Sink
    watch: Callable[[Any], object] | None


class Loop:
    """``memory``: bytes that all requests together may hold. ``weights``: of clients, else 1."""

    def __init__(
        self,
        *,
        memory: int,
        weights: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock, self._weights = clock, weights or {}
        self.scheduler = Scheduler(Memory(memory), clock)
        self._lock = threading.Lock()
        self._cuts: dict[Job, RequestCutError] = {}
        self._long: Interruptible | None = None  # what takes a step that nobody should wait for

    def lane(self, pace: Pace) -> Lane:
        """A place for the requests to one model."""
        return Lane(pace, self.scheduler.memory, self._weights)

    def submit(
        self,
        lane: Lane,
        model: GenerativeModel[Request, Any, Any],
        request: Request,
        sink: Sink,
        *,
        seed: int = 0,
        client: str = "",
        priority: int = 0,
        timeout: float | None = None,
        watch: Callable[[Any], object] | None = None,
    ) -> Job:
        """Let a request wait in ``lane``; any thread may.

        ``seed``: of its own random stream. ``client``: those who ask take turns by this name.
        ``priority``: higher goes first. ``timeout``: seconds until it must be done. ``watch``: is
        shown the progress after each step, by the thread that turns; may end it early; what it
        returns, if not None, is an event.

        Raises what ``model.weigh`` does, and :class:`MemoryLimitError`, :class:`BusyError`.
        """
        size = model.weigh(request)
        deadline = None if timeout is None else self.clock() + timeout
        job = Job(client, priority, deadline, size, Work(model, request, seed, sink, watch))
        with self._lock:
            self.scheduler.submit(lane, job)
            if self._long is not None:
                self._long.interrupt()
        return job

    def cancel(self, job: Job) -> None:
        """End ``job`` before its next step; harmless when it has ended. Any thread may."""
        error = RequestCancelledError("the request was cancelled")
        with self._lock:
            if job.state == "live":
                self._cuts.setdefault(job, error)
                return
            sink = self._forget(job)
        if sink is not None:
            sink.end(None, error)

    def turn(self) -> bool:
        """Let in what there is room for, and take one step; false when there is none to take."""
        self._cut()
        with self._lock:
            lanes = self.scheduler.lanes()
        for lane in lanes:
            self._admit(lane)
            with self._lock:
                grants = lane.grant(alone=len(lanes) == 1 and _interruptible(lane) is not None)
                self._long = _interruptible(lane) if lane.long else None
            if grants:
                self._step(lane, grants)
                return True
        return False

    def abandon(self, why: str) -> None:
        """Cancel everything; for the thread that turns, or when there is none."""
        with self._lock:
            for lane in self.scheduler.lanes():
                for job in (*lane.queue, *lane.live):
                    self._cuts.setdefault(job, RequestCancelledError(why))
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            for job in self.scheduler.expired():
                late = DeadlineError("the request's time ran out before it was done")
                self._cuts.setdefault(job, late)
            cuts, self._cuts = self._cuts, {}
        for job, error in cuts.items():
            if job.state != "ended":
                if job.progress is not None:
                    try:
                        error.sample = job.payload.model.finish(job.progress)
                    except Exception as fault:
                        error.__cause__ = fault
                self._end(job, None, error)

    def _admit(self, lane: Lane) -> None:
        while True:
            with self._lock:
                job = lane.admit()
            if job is None:
                return
            work: Work = job.payload
            try:
                progress = work.model.begin(work.request, generator(work.seed))
                if progress.done:
                    self._end(job, work.model.finish(progress), None)
                    continue
            except Exception as error:
                self._end(job, None, error)
                continue
            with self._lock:
                job.progress = progress
                lane.queue.prepay(job, progress.demand)

    def _step(self, lane: Lane, grants: Sequence[tuple[Job, int]]) -> None:
        jobs = [job for job, _ in grants]
        model: Model = jobs[0].payload.model
        started = self.clock()
        failed: Mapping[int, Exception]
        try:
            failed = model.advance([job.progress for job in jobs], [work for _, work in grants])
        except InterruptedStepError:
            with self._lock:
                lane.undo(dict(grants))
            return
        except Exception as error:
            failed = dict.fromkeys(range(len(jobs)), error)
        finally:
            lane.spent += self.clock() - started
            with self._lock:
                self._long = None
        for i, job in enumerate(jobs):
            if i in failed:
                self._end(job, None, failed[i])
                continue
            work: Work = job.payload
            try:
                if work.watch is not None and (item := work.watch(job.progress)) is not None:
                    work.sink.event(item)
                if job.progress.done:
                    self._end(job, model.finish(job.progress), None)
            except Exception as error:
                self._end(job, None, error)

    def _end(self, job: Job, sample: object, error: Exception | None) -> None:
        with self._lock:
            sink = self._forget(job)
        if sink is not None:
            sink.end(sample, error)

    def _forget(self, job: Job) -> Sink | None:
        """With the lock held: take ``job`` out; who is to be told, unless it had ended before."""
        if job.state == "ended":
            return None
        self.scheduler.end(job)
        self._cuts.pop(job, None)
        sink: Sink = job.payload.sink
        # A ticket may be kept for long; what it asked of should be free to go.
        job.progress = job.payload = None
        return sink


def _interruptible(lane: Lane) -> Interruptible | None:
    """The model of what is live in ``lane``, if its steps can be broken off."""
    job = next(iter(lane.live), None)
    model = None if job is None else job.payload.model
    return model if isinstance(model, Interruptible) else None


def steps(
    model: GenerativeModel[Request, P, Sample], progresses: Sequence[P]
) -> Generator[None, None, None]:
    """Advance ``progresses`` together, for one who has the model alone; yields after each step.

    Raises what fails in a step. Between two, the caller may show a progress, and may drop it.
    """
    while live := [progress for progress in progresses if not progress.done]:
        for error in model.advance(live, [progress.demand for progress in live]).values():
            raise error
        yield
