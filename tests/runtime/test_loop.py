"""The loop, with a family of its own: it knows the contract and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from studiolo.runtime.loop import steps


@dataclass
class Countdown:
    left: int

    @property
    def done(self) -> bool:
        return self.left == 0

    def preview(self) -> int:
        return self.left


class Clock:
    """Counts every request down by one a step, and notes who was advanced with whom."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def begin(self, request: int, rng: torch.Generator) -> Countdown:
        return Countdown(request)

    def advance(self, progresses: Sequence[Countdown]) -> None:
        self.batches.append(len(progresses))
        for progress in progresses:
            assert not progress.done
            progress.left -= 1

    def finish(self, progress: Countdown) -> int:
        return progress.left


def test_everything_live_is_advanced_together_until_nothing_is() -> None:
    clock = Clock()
    progresses = [clock.begin(n, torch.Generator()) for n in (3, 0, 1, 5)]
    seen = [[p.preview() for p in progresses] for _ in steps(clock, progresses)]
    assert clock.batches == [3, 2, 2, 1, 1]
    assert seen[0] == [2, 0, 0, 4]
    assert all(progress.done for progress in progresses)


def test_leaving_stops_the_work() -> None:
    clock = Clock()
    running = steps(clock, [clock.begin(9, torch.Generator())])
    next(running)
    running.close()
    assert clock.batches == [1]


def test_no_family_is_named_in_the_runtime() -> None:
    import studiolo.family
    import studiolo.runtime

    families = {p.stem for p in Path(studiolo.family.__path__[0]).glob("*.py")}
    families -= {"__init__", "contract"}
    assert families
    for file in Path(studiolo.runtime.__path__[0]).rglob("*.py"):
        assert not [name for name in families if name in file.read_text()]
