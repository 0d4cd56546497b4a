from __future__ import annotations

import pytest

from studiolo.errors import InvalidRequestError, RecordsError
from studiolo.record.recent import FRESH, ROOM, STALE, Recent


class Source:
    """Counts how often it is read, and may be away; its clock is set by hand."""

    def __init__(self) -> None:
        self.now, self.read, self.value = 1000.0, 0, "a"
        self.fault: Exception | None = None
        self.recent: Recent[str, str] = Recent(self.get, lambda: self.now)

    def get(self, name: str) -> str:
        self.read += 1
        if self.fault is not None:
            raise self.fault
        return name + self.value


def test_a_value_is_read_once_a_second() -> None:
    source = Source()
    assert [source.recent.get("x") for _ in range(3)] == ["xa"] * 3
    assert source.read == 1
    source.value, source.now = "b", 1000 + FRESH
    assert source.recent.get("x") == "xb"
    source.value = "c"
    source.recent.forget("x")
    source.recent.forget("never asked for")
    assert source.recent.get("x") == "xc"


def test_while_the_database_is_away_the_old_value_is_believed_for_a_while() -> None:
    source = Source()
    assert source.recent.get("x") == "xa"
    source.fault = RecordsError("away")
    source.now += STALE / 2
    assert [source.recent.get("x") for _ in range(3)] == ["xa"] * 3
    assert source.read == 2, "it is tried once a second, not for every request"
    with pytest.raises(RecordsError):
        source.recent.get("y")
    source.now += STALE / 2
    with pytest.raises(RecordsError):
        source.recent.get("x")
    source.fault, source.value = None, "b"
    assert source.recent.get("x") == "xb"


def test_it_knows_whether_it_would_have_to_read() -> None:
    source = Source()
    assert not source.recent.fresh("x")
    source.recent.get("x")
    assert source.recent.fresh("x")
    source.now += FRESH
    assert not source.recent.fresh("x")
    source.recent.get("x")
    source.recent.forget("x")
    assert not source.recent.fresh("x")
    assert source.read == 2


def test_other_faults_are_not_hidden() -> None:
    source = Source()
    source.recent.get("x")
    source.now += FRESH
    source.fault = InvalidRequestError("x", "wrong")
    with pytest.raises(InvalidRequestError):
        source.recent.get("x")


def test_there_is_room_for_so_many_and_the_oldest_goes_first() -> None:
    source = Source()
    for i in range(ROOM + 1):
        source.recent.get(f"{i}")
    reads = source.read
    source.recent.get(f"{ROOM}")
    source.recent.get("1")
    assert source.read == reads
    source.recent.get("0")
    assert source.read == reads + 1
