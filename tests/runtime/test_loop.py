"""The loop, with families of its own: it knows the contract and nothing else."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from studiolo.errors import (
    BusyError,
    DeadlineError,
    InvalidRequestError,
    MemoryLimitError,
    RequestCancelledError,
)
from studiolo.runtime.loop import Loop, steps
from studiolo.runtime.queue import Job
from studiolo.runtime.scheduler import Pace
from tests.runtime.toys import Ask, Clock, Inbox, Making, Toy


class Room:
    """A loop over one toy, and an inbox for each request."""

    def __init__(self, memory: int = 1000, **pace: int) -> None:
        self.clock, self.toy = Clock(), Toy()
        self.loop = Loop(memory=memory, clock=self.clock)
        self.lane = self.loop.lane(Pace(**pace))

    def put(self, ask: Ask, **options: Any) -> tuple[Job, Inbox]:
        inbox = Inbox()
        return self.loop.submit(self.lane, self.toy, ask, inbox, **options), inbox

    def run(self) -> None:
        while self.loop.turn():
            self.clock.now += 1
        assert self.loop.scheduler.jobs == 0
        assert self.loop.scheduler.memory.used == 0


def test_everything_live_is_advanced_together_until_nothing_is() -> None:
    room = Room()
    boxes = [room.put(Ask(n, name=str(n)))[1] for n in (3, 0, 1, 5)]
    room.run()
    assert [box.sample for box in boxes] == [(0, 1, 2), (), (0,), (0, 1, 2, 3, 4)]
    assert [box.ended for box in boxes] == [1, 1, 1, 1]
    assert [len(batch) for batch in room.toy.batches] == [3, 2, 2, 1, 1]


def test_a_watcher_sees_every_step_and_may_end_it() -> None:
    room = Room()

    def watch(progress: Making) -> object:
        if len(progress.made) == 3:
            progress.made += [9] * 7  # done, says its own reading
        return progress.preview() if len(progress.made) != 2 else None

    _, box = room.put(Ask(10), watch=watch)
    room.run()
    assert box.events == [1, 10]
    assert box.sample == (0, 1, 2, *[9] * 7)


def test_what_fails_fails_alone() -> None:
    room = Room()

    def shout(progress: Making) -> object:
        raise ValueError("cannot watch")

    boxes = {
        "nan at step 2": room.put(Ask(5, breaks_at=2))[1],
        "cannot begin": room.put(Ask(5, name="unbeginnable", size=7))[1],
        "cannot finish": room.put(Ask(5, name="unfinishable"))[1],
        "cannot watch": room.put(Ask(5), watch=shout)[1],
    }
    _, sound = room.put(Ask(5))
    room.run()
    assert {said: str(box.error) for said, box in boxes.items()} == {said: said for said in boxes}
    assert sound.sample == (0, 1, 2, 3, 4)
    assert all(box.ended == 1 for box in boxes.values())


def test_a_step_given_up_as_a_whole_ends_those_in_it_and_the_loop_goes_on() -> None:
    room = Room()
    boxes = [room.put(Ask(5))[1] for _ in range(3)]
    room.loop.turn()
    room.toy.broken = True
    room.loop.turn()
    assert [str(box.error) for box in boxes] == ["the device is gone"] * 3
    room.toy.broken = False
    _, after = room.put(Ask(2))
    room.run()
    assert after.sample == (0, 1)


def test_cancelling_ends_what_waits_at_once_and_what_is_live_before_its_next_step() -> None:
    room = Room(live=1)
    live, box = room.put(Ask(10))
    waiting, other = room.put(Ask(10))
    room.loop.turn()
    room.loop.cancel(waiting)
    room.loop.cancel(waiting)
    assert isinstance(other.error, RequestCancelledError)
    assert other.error.sample is None
    room.loop.turn()
    room.loop.cancel(live)
    assert not box.ended
    room.run()
    assert isinstance(box.error, RequestCancelledError)
    assert box.error.sample == (0, 1)
    assert (box.ended, other.ended, len(room.toy.batches)) == (1, 1, 2)
    room.loop.cancel(live)


def test_a_deadline_ends_what_waits_and_what_is_live() -> None:
    room = Room(live=1)
    _, box = room.put(Ask(100), timeout=5)
    _, other = room.put(Ask(100), timeout=7)
    _, soon = room.put(Ask(3), timeout=20)
    room.run()
    assert isinstance(box.error, DeadlineError)
    assert box.error.sample == (0, 1, 2, 3, 4)
    assert isinstance(other.error, DeadlineError)
    assert other.error.sample == (0, 1)
    assert soon.sample == (0, 1, 2)


def test_refusals_leave_nothing_behind() -> None:
    room = Room(memory=50, waiting=2)
    for ask, error in (
        (Ask(-1), InvalidRequestError),
        (Ask(1, size=51), MemoryLimitError),
    ):
        with pytest.raises(error):
            room.put(ask)
    room.put(Ask(1))
    room.put(Ask(1))
    with pytest.raises(BusyError):
        room.put(Ask(1))
    room.run()


def test_ten_thousand_queued_requests_and_a_storm_of_cancellations() -> None:
    room = Room(memory=500, waiting=10_000)
    rng = random.Random(0)
    asks = [
        room.put(Ask(rng.randint(0, 4), rng.randint(1, 90), rng.randint(0, 60)), client=f"{i % 7}")
        for i in range(10_000)
    ]
    with pytest.raises(BusyError, match="10,000 requests are waiting"):
        room.put(Ask(1))
    cancelled = set()
    for _ in range(20):
        room.loop.turn()
        for i in rng.sample(range(10_000), 300):
            room.loop.cancel(asks[i][0])
            cancelled.add(i)
    room.run()
    assert all(box.ended == 1 for _, box in asks)
    made = [i for i, (_, box) in enumerate(asks) if box.error is None]
    assert len(made) >= 10_000 - len(cancelled)
    assert all(isinstance(box.error, RequestCancelledError | None) for _, box in asks)


def test_abandoning_ends_everything() -> None:
    room = Room(live=2)
    boxes = [room.put(Ask(9))[1] for _ in range(5)]
    room.loop.turn()
    room.loop.abandon("going home")
    assert [str(box.error) for box in boxes] == ["going home"] * 5
    room.run()


def test_requests_may_come_and_go_from_other_threads() -> None:
    room = Room(memory=300, live=8, waiting=10_000)
    boxes: list[Inbox] = []

    def storm(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(300):
            job, box = room.put(Ask(rng.randint(0, 5), 1, rng.randint(0, 40)), client=str(seed))
            boxes.append(box)
            if rng.random() < 0.5:
                room.loop.cancel(job)

    threads = [threading.Thread(target=storm, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        room.loop.turn()
    for thread in threads:
        thread.join()
    room.run()
    assert len(boxes) == 1200
    assert all(box.ended == 1 for box in boxes)


def test_alone_with_a_model_no_scheduler_is_needed() -> None:
    toy = Toy()
    progresses = [toy.begin(Ask(n, 7), torch.Generator()) for n in (3, 0, 1)]
    seen = [[p.preview() for p in progresses] for _ in steps(toy, progresses)]
    assert seen == [[1, 0, 1], [2, 0, 1], [3, 0, 1]]
    running = steps(toy, [toy.begin(Ask(9), torch.Generator())])
    next(running)
    running.close()
    assert len(toy.batches) == 4
    with pytest.raises(ValueError, match="nan at step 1"):
        list(steps(toy, [toy.begin(Ask(9, breaks_at=1), torch.Generator())]))


def test_no_family_is_named_in_the_runtime() -> None:
    import studiolo.family
    import studiolo.runtime

    families = {p.stem for p in Path(studiolo.family.__path__[0]).glob("*.py")}
    families -= {"__init__", "contract"}
    assert families
    for file in Path(studiolo.runtime.__path__[0]).rglob("*.py"):
        assert not [name for name in families if name in file.read_text()]
