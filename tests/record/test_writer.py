from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from studiolo.record import writer as module
from studiolo.record.writer import GROUP, Writer


class Sink:
    """Takes rows; may be away, and may be held in the middle of a group."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.lost: list[int] = []
        self.away = threading.Event()
        self.tried = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()

    def write(self, rows: Sequence[int]) -> None:
        self.tried.release()
        self.go_on.wait(60)
        if self.away.is_set():
            raise OSError("away")
        self.groups.append(list(rows))

    @property
    def rows(self) -> list[int]:
        return [row for group in self.groups for row in group]


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Sink:
    monkeypatch.setattr(module, "BACKOFF", (0.001, 0.01))
    return Sink()


def test_rows_are_written_once_in_order_and_in_groups(sink: Sink) -> None:
    writer: Writer[int] = Writer(sink.write, sink.lost.append)
    for i in range(1000):
        writer.put(i)
    assert writer.flush(60)
    assert writer.lag == 0
    assert sink.rows == list(range(1000))
    assert max(map(len, sink.groups)) <= GROUP
    assert len(sink.groups) < 100
    writer.put(1000)
    writer.close(60)
    assert sink.rows == list(range(1001))
    assert sink.lost == []


def test_a_single_row_does_not_wait_for_others(sink: Sink) -> None:
    writer: Writer[int] = Writer(sink.write, sink.lost.append)
    writer.put(1)
    assert sink.tried.acquire(timeout=60)
    writer.close(60)
    assert sink.rows == [1]


def test_nothing_is_lost_while_nobody_can_write(
    sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    writer: Writer[int] = Writer(sink.write, sink.lost.append)
    sink.away.set()
    for i in range(300):
        writer.put(i)
    for _ in range(5):
        assert sink.tried.acquire(timeout=60)
    assert not writer.flush(0.01)
    assert writer.lag > 0
    sink.away.clear()
    assert writer.flush(60)
    assert sink.rows == list(range(300))
    assert writer.lag == 0
    assert [each.message for each in caplog.records] == [
        "256 rows wait, since they cannot be written: away"
    ]
    writer.close(60)


def test_putting_returns_while_a_group_is_written(sink: Sink) -> None:
    writer: Writer[int] = Writer(sink.write, sink.lost.append)
    sink.go_on.clear()
    writer.put(0)
    assert sink.tried.acquire(timeout=60)
    for i in range(1, 2000):
        writer.put(i)  # would hang here
    assert sink.groups == []
    sink.go_on.set()
    writer.close(60)
    assert sink.rows == list(range(2000))


def test_a_full_queue_waits_for_room(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 60)
    writer: Writer[int] = Writer(sink.write, sink.lost.append, room=10)
    sink.go_on.clear()
    for i in range(10):
        writer.put(i)
    waiting = threading.Thread(target=writer.put, args=(10,))
    waiting.start()
    assert sink.tried.acquire(timeout=60)
    assert waiting.is_alive()
    sink.go_on.set()
    waiting.join(60)
    writer.close(60)
    assert sink.rows == list(range(11))
    assert sink.lost == []


def test_what_finds_no_room_in_time_is_handed_back(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    writer: Writer[int] = Writer(sink.write, sink.lost.append, room=3)
    sink.away.set()
    for i in range(5):
        writer.put(i)
    assert sink.lost == [3, 4]
    sink.away.clear()
    writer.close(60)
    assert sink.rows == [0, 1, 2]


def test_what_is_left_at_the_end_is_handed_back(sink: Sink) -> None:
    writer: Writer[int] = Writer(sink.write, sink.lost.append)
    sink.away.set()
    for i in range(5):
        writer.put(i)
    writer.close(0.05)
    assert sink.lost == list(range(5))
    writer.put(5)
    assert sink.lost == list(range(6))
    assert sink.rows == []


def test_one_that_was_never_used_has_no_thread(sink: Sink) -> None:
    before = threading.active_count()
    writer: Writer[int] = Writer(sink.write, sink.lost.append)
    assert writer.flush(0)
    writer.close(0)
    assert threading.active_count() == before


def test_many_threads_put(sink: Sink) -> None:
    writer: Writer[int] = Writer(sink.write, sink.lost.append, room=50)

    def put(first: int) -> None:
        for i in range(first, first + 300):
            writer.put(i)

    threads = [threading.Thread(target=put, args=(1000 * i,)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close(60)
    assert sorted(sink.rows + sink.lost) == sorted(
        i for first in range(0, 5000, 1000) for i in range(first, first + 300)
    )
    assert sink.lost == []
    for first in range(0, 5000, 1000):
        mine = [row for row in sink.rows if first <= row < first + 300]
        assert mine == sorted(mine)
