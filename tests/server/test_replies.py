from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from studiolo.server.replies import Json, Stream, ending, event, guarded, line, unless_gone

SCOPE: dict[str, Any] = {"type": "http"}
GONE = {"type": "http.disconnect"}
BODY = {"type": "http.request", "body": b"more", "more_body": False}


class Line:
    """A connection: what was sent, and a reader that leaves after so many messages."""

    def __init__(self, leaves_after: int | None = None) -> None:
        self.sent: list[Any] = []
        self.left = asyncio.Event()
        self.leaves_after = leaves_after
        self.asked = 0

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if len(self.sent) == self.leaves_after:
            self.left.set()
            await asyncio.Event().wait()  # nobody takes it any more
        await asyncio.sleep(0)

    async def receive(self) -> Any:
        self.asked += 1
        if self.asked == 1:
            return BODY
        await self.left.wait()
        return GONE

    @property
    def bodies(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.sent)


class Told:
    """Pieces, and whether what makes them was ended, and what it was part of closed."""

    def __init__(self) -> None:
        self.ended = 0
        self.closed = 0

    async def pieces(self, count: int) -> AsyncGenerator[bytes, None]:
        try:
            for i in range(count):
                yield str(i).encode()
        finally:
            self.ended += 1

    async def close(self) -> None:
        self.closed += 1


def run(line: Line, told: Told, count: int = 3) -> None:
    asyncio.run(Stream(told.pieces(count), told.close)(SCOPE, line.receive, line.send))


def test_json_is_utf8() -> None:
    told = Json({"text": "é", "none": None}, 201)
    assert told.body == '{"text":"é","none":null}'.encode()
    assert told.headers["content-type"] == "application/json"
    assert told.status_code == 201


def test_a_stream_is_sent_piece_by_piece_and_closed() -> None:
    link, told = Line(), Told()
    run(link, told)
    assert [each.get("body") for each in link.sent] == [None, b"0", b"1", b"2", b""]
    assert [each.get("more_body") for each in link.sent] == [None, True, True, True, False]
    headers = dict(link.sent[0]["headers"])
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert b"content-length" not in headers
    assert (told.ended, told.closed) == (1, 1)


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_a_reader_that_leaves_ends_the_stream(after: int) -> None:
    link, told = Line(leaves_after=after), Told()
    with pytest.raises(ClientDisconnect):
        run(link, told, count=10)
    assert len(link.sent) == after
    assert told.ended == (after > 1)
    assert told.closed == 1


def test_a_reader_that_left_before_the_first_piece_still_has_it_closed() -> None:
    link, told = Line(), Told()

    async def gone() -> Any:
        return GONE

    async def never(message: Any) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ClientDisconnect):
        asyncio.run(Stream(told.pieces(3), told.close)(SCOPE, gone, never))
    assert (link.sent, told.ended, told.closed) == ([], 0, 1)


def test_a_server_that_ends_has_it_closed() -> None:
    link, told = Line(leaves_after=2), Told()
    link.left = asyncio.Event()

    async def ended() -> None:
        async def stuck() -> Any:
            await asyncio.Event().wait()

        task = asyncio.create_task(Stream(told.pieces(3), told.close)(SCOPE, stuck, link.send))
        while len(link.sent) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ended())
    assert (told.ended, told.closed) == (1, 1)


def test_what_fails_outside_the_pieces_is_raised_and_closed() -> None:
    link, told = Line(), Told()

    async def broken(message: Any) -> None:
        raise OSError("no wire")

    with pytest.raises(OSError, match="no wire"):
        asyncio.run(Stream(told.pieces(3), told.close)(SCOPE, link.receive, broken))
    assert told.closed == 1


def test_what_fails_in_the_middle_is_the_last_piece() -> None:
    told = Told()

    async def failing() -> AsyncIterator[bytes]:
        async for piece in told.pieces(2):
            yield piece
        raise KeyError("x")

    link = Line()
    pieces = guarded(failing(), lambda error: type(error).__name__.encode())
    asyncio.run(Stream(pieces, told.close)(SCOPE, link.receive, link.send))
    assert link.bodies == b"01KeyError"
    assert not link.sent[-1]["more_body"]


def test_what_is_guarded_is_ended_with_its_guard() -> None:
    told = Told()

    async def part() -> None:
        pieces = guarded(told.pieces(9), lambda error: b"")
        assert await anext(pieces) == b"0"
        await pieces.aclose()
        assert told.ended == 1

    asyncio.run(part())


def test_what_cannot_be_ended_is_left_alone() -> None:
    class Bare:
        def __aiter__(self) -> AsyncIterator[int]:
            return self

        async def __anext__(self) -> int:
            raise StopAsyncIteration

    async def both() -> None:
        async with ending(Bare()):
            pass

    asyncio.run(both())


def test_work_is_given_back_or_raised() -> None:
    async def work(value: int) -> int:
        if not value:
            raise ValueError("none")
        return value

    assert asyncio.run(unless_gone(Line().receive, work(3))) == 3
    with pytest.raises(ValueError, match="none"):
        asyncio.run(unless_gone(Line().receive, work(0)))


def test_work_for_nobody_is_cancelled() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def both() -> None:
        link = Line()
        link.left.set()
        with pytest.raises(ClientDisconnect):
            await unless_gone(link.receive, work())
        assert link.asked == 2  # what else was sent is thrown away

    asyncio.run(both())
    assert seen == ["cancelled"]


def test_an_event_is_framed() -> None:
    assert event({"a": 1}) == b'data: {"a":1}\n\n'
    assert event({"a": 1}, "named") == b'event: named\ndata: {"a":1}\n\n'
    assert event(b"[DONE]") == b"data: [DONE]\n\n"


def test_json_on_a_line_is_one_line_for_everybody() -> None:
    text = "a\nb\rc\x0bd\x0ce\x1cf\x85g\u2028h\u2029i"
    said = line({"text": text})
    assert json.loads(said) == {"text": text}
    assert len(said.decode().splitlines()) == 1
