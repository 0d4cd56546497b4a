"""Who is let in next: higher priorities first, clients in fair turns, nobody forgotten.

Among the clients of one priority it is start-time fair queueing (Goyal, Vin and Cheng 1996):
each has a virtual time that runs on by the work done for it over its weight, and the least is
served next; a client that comes back joins at the time of those being served, so that nobody
saves up turns by staying away. Every eighth turn goes to a client's oldest request whatever its
priority, the clients in the same fair turns: that is why nothing starves. Knows no clock and no
model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any

from studiolo.errors import BusyError

PATIENCE = 8
"""One turn in so many does not look at priorities."""
ANY = None
"""In place of a priority: all of them."""
REMEMBERED = 1024
"""Clients with nothing to do whose virtual time is kept."""


class Job:
    """One request on its way through the scheduler.

    ``deadline``: on the clock of the loop, or None. ``memory``: bytes it may come to hold.
    ``payload``: the loop's own. The other fields are the scheduler's.
    """

    __slots__ = (
        "client", "deadline", "flow", "lane", "last", "memory", "number", "payload", "prepaid",
        "priority", "progress", "state",
    )  # fmt: skip

    def __init__(
        self, client: str, priority: int, deadline: float | None, memory: int, payload: Any = None
    ) -> None:
        self.client, self.priority, self.deadline = client, priority, deadline
        self.memory, self.payload = memory, payload
        self.flow: Flow
        self.lane: Any = None
        self.progress: Any = None
        self.number = 0
        self.last = -1
        self.prepaid = 0
        self.state = "new"  # then queued, live, ended


class Flow:
    """What one client has in one queue: its jobs by priority, and its virtual time."""

    __slots__ = ("client", "listed", "live", "queues", "time", "waiting", "weight")

    def __init__(self, client: str, weight: float, time: float) -> None:
        self.client, self.weight, self.time = client, weight, time
        self.queues: dict[int | None, OrderedDict[Job, None]] = {}
        self.listed: set[int | None] = set()
        self.waiting = self.live = 0


class Queue:
    """Jobs that wait, at most ``limit`` of them. ``weights``: of clients, 1 where none is given."""

    def __init__(self, limit: int, weights: Mapping[str, float]) -> None:
        self.limit, self.weights = limit, weights
        self._jobs: OrderedDict[Job, None] = OrderedDict()
        self._flows: dict[str, Flow] = {}
        self._idle: OrderedDict[str, Flow] = OrderedDict()
        self._levels: dict[int | None, list[tuple[float, int, Flow]]] = {}
        self._time = 0.0
        self._turns = self._count = 0
        self.newcomers = 0  # clients that wait and have nothing live

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def put(self, job: Job) -> None:
        """Let ``job`` wait. Raises :class:`BusyError` when the queue is full."""
        if len(self._jobs) >= self.limit:
            raise BusyError(
                f"{len(self._jobs):,} requests are waiting already, and no more may",
                remedy="Try again in a little while.",
            )
        flow = job.flow = self._flow(job.client)
        self._count += 1
        job.number, job.state = self._count, "queued"
        self._jobs[job] = None
        for level in (ANY, job.priority):
            flow.queues.setdefault(level, OrderedDict())[job] = None
            self._list(flow, level)
        self._move(flow, waiting=1)

    def choose(self, fits: Callable[[Job, bool], bool | None]) -> Job | None:
        """The job whose turn it is, and which ``fits``; it stays where it is.

        ``fits(job, holds)``, ``holds``: whether its client has something live: true; false when
        everybody must wait for it; None to pass its client over.
        """
        levels: list[int | None] = []
        if self._turns % PATIENCE == PATIENCE - 1:
            levels.append(ANY)
        levels += sorted((each for each in self._levels if each is not ANY), reverse=True)
        for level in levels:
            job, verdict = self._first(level, fits)
            if verdict is not None:
                return job if verdict else None
        return None

    def _first(
        self, level: int | None, fits: Callable[[Job, bool], bool | None]
    ) -> tuple[Job | None, bool | None]:
        """The first job of the level that is not passed over, and its verdict."""
        heap, passed = self._levels.get(level, []), []
        job, verdict = None, None
        while heap and verdict is None:
            time, number, flow = heap[0]
            queue = flow.queues.get(level)
            if not queue:
                heappop(heap)
                flow.listed.discard(level)
            elif flow.time > time:
                heapreplace(heap, (flow.time, number, flow))
            else:
                job = next(iter(queue))
                verdict = fits(job, flow.live > 0)
                if verdict is None:
                    passed.append(heappop(heap))
        for entry in passed:
            heappush(heap, entry)
        if not heap:
            self._levels.pop(level, None)
        return job, verdict

    def begin(self, job: Job) -> None:
        """Count ``job``, chosen before, as live."""
        self._turns += 1
        self._time = max(self._time, job.flow.time)
        self._remove(job)
        self._move(job.flow, waiting=-1, live=1)
        job.state = "live"

    def prepay(self, job: Job, work: int) -> None:
        """Charge ``work`` units that are sure to be done for ``job``."""
        job.prepaid = work
        job.flow.time += work / job.flow.weight

    def charge(self, grants: Mapping[Job, int]) -> None:
        """Note how many units of work are being done for each job."""
        for job, work in grants.items():
            paid = job.prepaid if job.prepaid < work else work
            if paid:
                job.prepaid -= paid
            if work > paid:
                job.flow.time += (work - paid) / job.flow.weight

    def end(self, job: Job) -> None:
        """Forget ``job``, waiting or live; prepaid work that was never done is given back."""
        flow = job.flow
        if job.state == "queued":
            self._remove(job)
            self._move(flow, waiting=-1)
        else:
            flow.time -= job.prepaid / flow.weight
            self._move(flow, live=-1)
        job.state = "ended"
        if not flow.live and not flow.waiting:
            self._idle[flow.client] = flow
            if len(self._idle) > REMEMBERED:
                client, _ = self._idle.popitem(last=False)
                del self._flows[client]

    def _flow(self, client: str) -> Flow:
        flow = self._flows.get(client)
        if flow is None:
            weight = self.weights.get(client, 1.0)
            flow = self._flows[client] = Flow(client, weight, self._time)
        elif self._idle.pop(client, None) is not None:
            flow.time = max(flow.time, self._time)
        return flow

    def _list(self, flow: Flow, level: int | None) -> None:
        if level in flow.listed:
            return
        heap = self._levels.setdefault(level, [])
        if len(heap) > 2 * len(self._jobs) + 64:  # mostly of clients whose jobs were cancelled
            for _, _, other in heap:
                if not other.queues.get(level):
                    other.listed.discard(level)
            heap[:] = [entry for entry in heap if level in entry[2].listed]
            heapify(heap)
        flow.listed.add(level)
        heappush(heap, (flow.time, self._count, flow))

    def _remove(self, job: Job) -> None:
        del self._jobs[job]
        for level in (ANY, job.priority):
            queue = job.flow.queues[level]
            del queue[job]
            if not queue:
                del job.flow.queues[level]

    def _move(self, flow: Flow, *, waiting: int = 0, live: int = 0) -> None:
        self.newcomers -= flow.waiting > 0 and not flow.live
        flow.waiting += waiting
        flow.live += live
        self.newcomers += flow.waiting > 0 and not flow.live
