"""HTTP to an upstream that may do anything."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from studiolo.errors import StudioloError
from studiolo.task.remote import transport
from studiolo.task.remote.failure import Cleaner, FailedError
from studiolo.task.remote.sse import ServerEvent
from studiolo.task.remote.transport import Transport
from tests.task.remote.upstreams import BROKEN, Fake, Reply, sent, upstream


def line(fake: Fake, **timeout: float) -> Transport:
    remote = fake.remote(timeout=timeout)
    return Transport(remote, Cleaner("it", remote.url, "k"), {"x-fixed": "1"}, lambda: {"x-n": "2"})


async def read(made: Transport) -> list[ServerEvent]:
    async with aclosing(made.events("/chat", b"{}")) as events:
        return [event async for event in events]


def failing(fake_reply: Reply, **timeout: float) -> str:
    async def main() -> str:
        async with upstream(fake_reply) as fake:
            made = line(fake, **timeout)
            try:
                with pytest.raises(FailedError) as caught:
                    await read(made)
            finally:
                await made.aclose()
            return caught.value.error.message

    return asyncio.run(main())


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_events_come_as_they_are_sent_and_connections_are_kept() -> None:
    async def main() -> None:
        async with upstream(Reply(sent({"a": 1}, b"[DONE]"))) as fake:
            made = line(fake)
            for _ in range(2):
                events = await read(made)
                assert events == [ServerEvent("", '{"a": 1}'), ServerEvent("", "[DONE]")]
            asked = fake.asked[0]
            assert asked.path == "/v1/chat"
            assert (asked.headers["x-fixed"], asked.headers["x-n"]) == ("1", "2")
            assert asked.headers["user-agent"].startswith("studiolo/")
            await made.aclose()

    run(main())


def test_every_event_loop_has_connections_of_its_own_and_its_end_closes_them() -> None:
    made: list[Transport] = []

    async def main() -> None:
        async with upstream(Reply(sent(b"x"))) as fake:
            made.append(line(fake) if not made else made[0])
            made[0]._url = f"{fake.url}/v1"
            assert await read(made[0]) == [ServerEvent("", "x")]

    run(main())
    run(main())  # what the first has left open would be told of as a warning
    assert made[0]._clients == {}


def test_leaving_closes_the_connection() -> None:
    async def main() -> None:
        async with upstream(Reply(sent(b"x"), ends="silent")) as fake:
            made = line(fake)
            async with aclosing(made.events("/chat", b"{}")) as events:
                await anext(events)
            await asyncio.wait_for(fake.left.wait(), 10)
            await made.aclose()

    run(main())


def test_failures_are_told_apart() -> None:
    assert failing(Reply(sent(b"x"), kind="application/json")) == "it, elsewhere, did not stream"
    assert "cannot be reached (RemoteProtocolError)" in failing(Reply(sent(b"x"), ends="broken"))
    assert "answered with an error (503)" in failing(BROKEN)
    assert "redirects" in failing(Reply(status=307, headers={"location": "http://127.0.0.1:1/"}))


def test_silence_is_noticed_even_behind_comments() -> None:
    silent = Reply([b": wait\n\n"] * 3, ends="silent")
    assert failing(silent, first=0.05) == "it, elsewhere, said nothing for 0.05 seconds"
    stuck = Reply([*sent(b"x"), b": wait\n\n"], ends="silent")
    assert failing(stuck, between=0.05) == "it, elsewhere, said nothing for 0.05 seconds"


def test_nobody_there() -> None:
    async def main() -> None:
        async with upstream(Reply()) as fake:
            pass
        made = line(fake, connect=5)
        with pytest.raises(FailedError) as caught:
            await read(made)
        assert caught.value.again
        assert "cannot be reached (ConnectError)" in caught.value.error.message
        await made.aclose()

    run(main())


def test_what_is_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LARGEST_ANSWER", 10)
    monkeypatch.setattr(transport, "LARGEST_ERROR", 10)

    async def main() -> None:
        async with upstream(Reply([b"x" * 8] * 3), Reply([b"x" * 8] * 3, 400)) as fake:
            made = line(fake)
            with pytest.raises(FailedError) as caught:
                await made.body("/x", b"{}")
            assert caught.value.error.message == "it, elsewhere, sent more than 10 bytes"
            with pytest.raises(StudioloError, match="refused the request"):
                await made.body("/x", b"{}")
            await made.aclose()

    run(main())
