"""Tickets: the same events and the same end, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from studiolo.runtime.ticket import Ticket


def ticket() -> tuple[Ticket[str], list[str]]:
    calls: list[str] = []
    return Ticket(lambda: calls.append("cancel"), lambda: calls.append("over")), calls


def play(made: Ticket[str], error: Exception | None = None) -> threading.Thread:
    """Three events and an end, from another thread."""

    def tell() -> None:
        for i in range(3):
            time.sleep(0.005)
            made.event(i)
        time.sleep(0.005)
        made.end("sample", error)

    thread = threading.Thread(target=tell)
    thread.start()
    return thread


def test_events_and_sample_for_a_thread() -> None:
    made, calls = ticket()
    thread = play(made)
    assert list(made) == [0, 1, 2]
    assert made.result() == "sample"
    assert list(made) == [0, 1, 2]
    thread.join()
    assert made.done
    assert calls == ["over"]


def test_events_and_sample_for_asyncio() -> None:
    made, _ = ticket()

    async def listen() -> list[object]:
        return [event async for event in made]

    async def both() -> None:
        thread = play(made)
        first, second, sample = await asyncio.gather(listen(), listen(), asyncio.wait_for(made, 5))
        assert first == second == [0, 1, 2]
        assert sample == "sample"
        assert await made == "sample"
        assert await listen() == [0, 1, 2]
        thread.join()

    asyncio.run(both())
    assert made._wakers == []


def test_the_error_ends_both() -> None:
    made, _ = ticket()
    thread = play(made, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        list(made)
    with pytest.raises(ValueError, match="broken"):
        made.result()

    async def listen() -> None:
        await made

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(listen())
    thread.join()


def test_waiting_has_a_limit_if_asked_for() -> None:
    made, _ = ticket()
    with pytest.raises(TimeoutError):
        made.result(timeout=0.01)


def test_leaving_the_block_cancels() -> None:
    made, calls = ticket()
    with made:
        assert calls == []
    assert calls == ["cancel"]


def test_a_listener_whose_event_loop_is_gone_disturbs_nobody() -> None:
    made, _ = ticket()
    loop = asyncio.new_event_loop()

    async def listen() -> None:
        await made

    task = loop.create_task(listen())
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()

    def wake() -> None:
        loop.call_soon_threadsafe(print)

    made._wakers.append(wake)
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
    made.event(1)
    made.end("sample", None)
    assert list(made) == [1]
