"""Work in threads of its own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from studiolo.server.management.apart import apart


def test_what_it_gives_and_what_it_raises() -> None:
    async def main() -> None:
        assert await apart(lambda: threading.current_thread().name, "mine") == "mine"
        with pytest.raises(ZeroDivisionError):
            await apart(lambda: 1 / 0, "mine")

    asyncio.run(main())


def test_giving_up_leaves_the_work_alone() -> None:
    gate, done = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait()
        done.set()

    async def main() -> None:
        waiting = asyncio.create_task(apart(work, "mine"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    gate.set()
    assert done.wait(10)
