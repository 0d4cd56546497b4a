"""How much may be under way at once: requests, and the bytes of their bodies.

What finds no room is refused at once, and told to come back: to wait in line without end helps
nobody. One key may take three quarters of the places, so that the others still find one beside a
key that floods. Lives on the server's event loop; no other thread may use it.
"""

from __future__ import annotations

from collections import Counter

from starlette.types import Message, Receive

from studiolo.errors import BusyError

SPARE = 4
"""One place in so many is for clients other than the one that has the rest."""
STRANGER = "?"
"""The client of a request that has yet to show whose it is."""


class Room:
    """For ``requests`` at once, whose bodies have ``bodies`` bytes together."""

    def __init__(self, requests: int, bodies: int) -> None:
        self._requests, self._bodies = requests, bodies
        self._clients: Counter[str] = Counter()
        self._count = self._held = 0

    @property
    def count(self) -> int:
        """Requests under way."""
        return self._count

    def enter(self, client: str) -> Place:
        """A place for one request of ``client``, ``""`` where there are no keys.

        Raises :class:`BusyError` when there is none.
        """
        limit = self._requests - self._requests // SPARE if client else self._requests
        if self._count >= self._requests:
            raise _busy(f"{self._count:,} requests are under way already, and no more may be")
        if self._clients[client] >= limit:
            who = "who has yet to show a key" if client == STRANGER else f"the key {client}"
            raise _busy(f"{who} has {limit:,} requests under way, and no more may be")
        return Place(self, client)


class Place:
    """What one request takes up until it leaves."""

    def __init__(self, room: Room, client: str) -> None:
        self._room, self._client, self._size = room, client, 0
        room._count += 1
        room._clients[client] += 1

    def holding(self, receive: Receive) -> Receive:
        """``receive``, for one who keeps what it gives: that is held."""

        async def kept() -> Message:
            message = await receive()
            self.hold(len(message.get("body", b"")))
            return message

        return kept

    def hold(self, size: int) -> None:
        """Hold ``size`` bytes more of the body; raises :class:`BusyError` without room for them."""
        room = self._room
        if room._held + size > room._bodies:
            raise _busy(f"bodies of {room._held:,} bytes are under way, and no more may be")
        self._size += size
        room._held += size

    def leave(self) -> None:
        """Give all of it back."""
        room = self._room
        room._count -= 1
        room._held -= self._size
        room._clients[self._client] -= 1
        if not room._clients[self._client]:
            del room._clients[self._client]


def _busy(why: str) -> BusyError:
    return BusyError(why, remedy="Try again in a little while.")
