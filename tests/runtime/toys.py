"""Toy families for the tests of the runtime: they obey the contract and make next to nothing."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from studiolo.errors import InterruptedStepError, InvalidRequestError


@dataclass(frozen=True)
class Ask:
    """Read ``reading`` units, then make ``steps`` things."""

    steps: int
    reading: int = 1
    size: int = 0
    name: str = ""
    breaks_at: int = -1


@dataclass(eq=False)
class Making:
    ask: Ask
    unread: int
    made: list[int] = field(default_factory=list)
    least = 1

    @property
    def done(self) -> bool:
        return len(self.made) >= self.ask.steps

    @property
    def demand(self) -> int:
        return max(1, self.unread)

    def preview(self) -> int:
        return len(self.made)


class Toy:
    """Makes the numbers 0, 1, 2, … after reading; notes every step."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[str, int]]] = []
        self.broken = False

    def weigh(self, request: Ask) -> int:
        if request.steps < 0:
            raise InvalidRequestError("steps", f"must be 0 or more, not {request.steps}")
        return request.size

    def begin(self, request: Ask, rng: torch.Generator) -> Making:
        if request.name == "unbeginnable":
            raise ValueError("cannot begin")
        return Making(request, request.reading)

    def advance(
        self, progresses: Sequence[Making], grants: Sequence[int]
    ) -> Mapping[int, Exception]:
        if self.broken:
            raise RuntimeError("the device is gone")
        self.batches.append([(p.ask.name, g) for p, g in zip(progresses, grants, strict=True)])
        failed: dict[int, Exception] = {}
        for i, (progress, grant) in enumerate(zip(progresses, grants, strict=True)):
            assert not progress.done
            assert 1 <= grant <= progress.demand
            progress.unread = max(0, progress.unread - grant)
            if not progress.unread:
                if len(progress.made) == progress.ask.breaks_at:
                    failed[i] = ValueError(f"nan at step {len(progress.made)}")
                else:
                    progress.made.append(len(progress.made))
        return failed

    def finish(self, progress: Making) -> tuple[int, ...]:
        if progress.ask.name == "unfinishable":
            raise ValueError("cannot finish")
        return tuple(progress.made)


class Patient(Toy):
    """Takes a long step (over 64 units) until it is interrupted, and then undoes it."""

    def __init__(self) -> None:
        super().__init__()
        self.stepping, self.interrupted = threading.Event(), threading.Event()

    def interrupt(self) -> None:
        self.interrupted.set()

    def advance(
        self, progresses: Sequence[Making], grants: Sequence[int]
    ) -> Mapping[int, Exception]:
        if sum(grants) > 64:
            self.stepping.set()
            assert self.interrupted.wait(10)
            raise InterruptedStepError("somebody came")
        return super().advance(progresses, grants)


@dataclass(eq=False)
class Walk:
    """A cloud of points on its way along a flow."""

    points: Tensor
    left: int
    steps: int
    least = demand = 1

    @property
    def done(self) -> bool:
        return self.left == 0

    def preview(self) -> Tensor:
        return self.points


@dataclass(frozen=True)
class Cloud:
    points: int
    steps: int
    centre: tuple[float, float]


class PointFlow:
    r"""Two-dimensional points along an ODE, by Euler's method: every cloud in one tensor operation.

    The straight flow from a normal noise :math:`x_0` to the centre c at time 1:
    :math:`dx/dt = (c - x) / (1 - t)`. All points arrive at c, whatever the number of steps.
    """

    def __init__(self) -> None:
        self.centres: dict[Walk, Tensor] = {}

    def weigh(self, request: Cloud) -> int:
        return request.points * 8

    def begin(self, request: Cloud, rng: torch.Generator) -> Walk:
        walk = Walk(torch.randn(request.points, 2, generator=rng), request.steps, request.steps)
        self.centres[walk] = torch.tensor(request.centre)
        return walk

    def advance(self, progresses: Sequence[Walk], grants: Sequence[int]) -> Mapping[int, Exception]:
        counts = torch.tensor([len(walk.points) for walk in progresses])
        points = torch.cat([walk.points for walk in progresses])
        centres = torch.stack([self.centres[walk] for walk in progresses])
        # At step k of n, t = k / n, and a step of 1 / n covers 1 / (n - k) of what is left.
        shares = torch.tensor([1 / walk.left for walk in progresses])
        way = centres.repeat_interleave(counts, 0) - points
        moved = points + way * shares.repeat_interleave(counts)[:, None]
        for walk, part in zip(progresses, torch.split(moved, counts.tolist()), strict=True):
            walk.points, walk.left = part, walk.left - 1
        return {}

    def finish(self, progress: Walk) -> Tensor:
        del self.centres[progress]
        return progress.points


class Inbox:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.ended = 0
        self.sample: object = None
        self.error: Exception | None = None

    def event(self, item: object) -> None:
        assert not self.ended
        self.events.append(item)

    def end(self, sample: object, error: Exception | None) -> None:
        self.ended += 1
        self.sample, self.error = sample, error


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
