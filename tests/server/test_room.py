from __future__ import annotations

import asyncio

import pytest

from studiolo.errors import BusyError
from studiolo.server.room import STRANGER, Room


def test_one_more_than_there_is_room_for_is_refused_until_somebody_leaves() -> None:
    room = Room(requests=2, bodies=10)
    first, _ = room.enter(""), room.enter("")
    assert room.count == 2
    with pytest.raises(BusyError, match="2 requests are under way") as busy:
        room.enter("")
    assert busy.value.retry_after > 0
    first.leave()
    room.enter("")


def test_one_key_leaves_a_quarter_to_the_others() -> None:
    room = Room(requests=8, bodies=10)
    places = [room.enter("a") for _ in range(6)]
    with pytest.raises(BusyError, match="the key a has 6 requests under way"):
        room.enter("a")
    room.enter("b").leave()
    places.pop().leave()
    room.enter("a")


def test_strangers_share_one_share() -> None:
    room = Room(requests=4, bodies=10)
    for _ in range(3):
        room.enter(STRANGER)
    with pytest.raises(BusyError, match="yet to show a key"):
        room.enter(STRANGER)
    room.enter("a")


def test_where_there_are_no_keys_all_places_may_be_taken() -> None:
    room = Room(requests=1, bodies=10)
    place = room.enter("")
    with pytest.raises(BusyError):
        room.enter("")
    place.leave()
    assert room.count == 0
    room.enter("a")  # a single place can be had by a key too


def test_bodies_are_held_until_their_request_leaves() -> None:
    room = Room(requests=4, bodies=10)
    one, other = room.enter("a"), room.enter("b")
    one.hold(6)
    one.hold(4)
    with pytest.raises(BusyError, match="bodies of 10 bytes"):
        other.hold(1)
    one.leave()
    other.hold(10)


def test_what_is_received_is_held() -> None:
    room = Room(requests=1, bodies=3)
    place = room.enter("")
    parts = [b"ab", b"cd"]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def both() -> None:
        kept = place.holding(receive)
        assert (await kept())["body"] == b"ab"
        with pytest.raises(BusyError):
            await kept()

    asyncio.run(both())
