from __future__ import annotations

import threading
import time
from typing import get_args

import pytest

from studiolo.record.batches import FROM, LEASE, OPEN, Batch, Batches, Status
from studiolo.record.database import Database
from studiolo.record.keys import Keys

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def batches(database: Database) -> Batches:
    return Batches(database)


def create(batches: Batches, key: str | None = None) -> Batch:
    return batches.create(key=key, endpoint="/v1/completions", input_file="file-in")


def test_a_job_goes_its_way(batches: Batches, database: Database) -> None:
    key = Keys(database).create(name="a").key.id
    made = batches.create(
        key=key,
        endpoint="/v1/embeddings",
        input_file="file-in",
        metadata={"for": "Zoë \0"},
        hours=2,
    )
    assert made.id.startswith("batch_")
    assert made.expires == pytest.approx(made.created + 7200)
    assert batches.find(made.id, key) == made
    assert batches.claim("w") == made
    started = batches.move(made.id, "w", "in_progress")
    assert started is not None
    assert started.started is not None
    going = batches.renew(made.id, "w", total=10, completed=4)
    assert going is not None
    assert (going.total, going.completed, going.failed) == (10, 4, 0)
    going = batches.renew(made.id, "w", completed=9, failed=1)
    assert going is not None
    assert (going.total, going.completed, going.failed) == (10, 9, 1)
    assert batches.move(made.id, "w", "finalizing") is not None
    done = batches.move(made.id, "w", "completed", output_file="file-out", error_file="file-err")
    assert done is not None
    assert (done.status, done.output_file, done.error_file) == ("completed", "file-out", "file-err")
    assert done.finished is not None
    assert done.metadata == {"for": "Zoë \0"}
    assert batches.find(made.id, key) == done
    assert batches.claim("w2") is None


def test_another_key_sees_and_cancels_nothing(batches: Batches, database: Database) -> None:
    keys = Keys(database)
    key, other = (keys.create(name=name).key.id for name in "ab")
    made = create(batches, key)
    for reader in (other, None, ""):
        assert batches.find(made.id, reader) is None
        assert batches.cancel(made.id, reader) is None
        assert batches.list(reader) == ()
    assert batches.find(made.id, key) == made
    assert batches.find(made.id, other, admin=True) == made
    assert batches.list(other, admin=True) == (made,)


def test_jobs_are_listed_by_page(batches: Batches) -> None:
    newest = tuple(reversed([create(batches) for _ in range(5)]))
    assert batches.list(None) == newest
    assert batches.list(None, limit=2) == newest[:2]
    assert batches.list(None, limit=2, after=newest[1].id) == newest[2:4]


def brought_to(batches: Batches, status: Status, worker: str) -> Batch:
    """A job that ``worker`` holds, in that status."""
    made = create(batches)
    while batches.claim(worker) != made:
        pass
    way: dict[Status, tuple[Status, ...]] = {
        "validating": (),
        "failed": ("failed",),
        "in_progress": ("in_progress",),
        "finalizing": ("in_progress", "finalizing"),
        "completed": ("in_progress", "finalizing", "completed"),
        "expired": ("expired",),
        "cancelling": ("cancelling",),
        "cancelled": ("cancelling", "cancelled"),
    }
    for step in way[status]:
        assert batches.move(made.id, worker, step) is not None
    found = batches.find(made.id, None)
    assert found is not None
    assert found.status == status
    return found


@pytest.mark.parametrize("status", get_args(Status))
def test_only_what_may_follow_follows(batches: Batches, status: Status) -> None:
    for to in get_args(Status):
        made = brought_to(batches, status, f"w-{to}")
        moved = batches.move(made.id, f"w-{to}", to, error="because")
        if status in FROM.get(to, ()):
            assert moved is not None
            assert (moved.status, moved.error) == (to, "because")
        else:
            assert moved is None
            assert batches.find(made.id, None) == made


def test_cancelling_asks_and_the_worker_ends(batches: Batches) -> None:
    made = brought_to(batches, "in_progress", "w")
    asked = batches.cancel(made.id, None)
    assert asked is not None
    assert asked.status == "cancelling"
    assert asked.cancelling is not None
    told = batches.renew(made.id, "w", completed=3)
    assert told is not None
    assert told.status == "cancelling"
    assert batches.move(made.id, "w", "finalizing") is None
    ended = batches.move(made.id, "w", "cancelled")
    assert ended is not None
    assert batches.cancel(made.id, None) == ended
    assert batches.cancel("batch_none", None) is None


def test_one_that_nobody_began_is_claimed_to_be_cancelled(batches: Batches) -> None:
    made = create(batches)
    batches.cancel(made.id, None)
    claimed = batches.claim("w")
    assert claimed is not None
    assert claimed.status == "cancelling"


def test_the_oldest_free_job_is_claimed_and_only_once(batches: Batches) -> None:
    first, second = create(batches), create(batches)
    assert batches.claim("a") == first
    assert batches.claim("b") == second
    assert batches.claim("c") is None
    batches.leave(first.id, "b")
    assert batches.claim("c") is None, "b cannot give back what is a's"
    batches.leave(first.id, "a")
    assert batches.claim("c") == first


def test_a_job_whose_worker_is_gone_goes_on_and_the_old_one_can_change_nothing(
    batches: Batches,
) -> None:
    made = brought_to(batches, "in_progress", "dead")
    now = time.time()
    assert batches.claim("next", now) is None
    assert batches.claim("next", now + LEASE - 5) is None
    assert batches.renew(made.id, "dead", now=now + 10) is not None
    assert batches.claim("next", now + LEASE + 5) is None, "it was renewed"
    taken = batches.claim("next", now + LEASE + 15)
    assert taken is not None
    assert (taken.id, taken.status) == (made.id, "in_progress")
    before = batches.find(made.id, None)
    assert batches.renew(made.id, "dead", completed=99) is None
    assert batches.move(made.id, "dead", "finalizing") is None
    batches.leave(made.id, "dead")
    assert batches.find(made.id, None) == before
    assert batches.move(made.id, "next", "finalizing") is not None


def test_of_many_workers_each_job_has_one(database: Database, batches: Batches) -> None:
    made = {create(batches).id for _ in range(20)}
    taken: list[tuple[str, str]] = []

    def work(worker: str) -> None:
        mine = Batches(database)
        while (claimed := mine.claim(worker)) is not None:
            moved = mine.move(claimed.id, worker, "in_progress")
            assert moved is not None
            taken.append((claimed.id, worker))

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(id for id, _ in taken) == sorted(made)


def test_of_many_changes_to_one_status_one_succeeds(batches: Batches, database: Database) -> None:
    made = brought_to(batches, "in_progress", "w")
    outcomes: list[Status | None] = []
    together = threading.Barrier(6)

    def change(to: Status) -> None:
        together.wait()
        moved = Batches(database).move(made.id, "w", to)
        outcomes.append(None if moved is None else moved.status)

    ends: tuple[Status, ...] = ("failed", "expired", "failed", "expired", "failed", "expired")
    threads = [threading.Thread(target=change, args=(to,)) for to in ends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = batches.find(made.id, None)
    assert found is not None
    assert [each for each in outcomes if each is not None] == [found.status]


def test_every_status_is_open_or_an_end() -> None:
    followed = {status for before in FROM.values() for status in before}
    assert followed == set(OPEN)
    assert set(FROM) | {"validating"} == set(get_args(Status))
