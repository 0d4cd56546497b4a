"""Answers from elsewhere have their time, before the first word and after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from studiolo.errors import DeadlineError
from studiolo.task.asking import Answer, Ended, Event, Outcome, Piece, collect
from studiolo.task.remote.deadline import done_in_time, in_time

TOOK = Outcome(3, 0, 2, 0.1, 0.2)


class Told:
    """An answer that hangs before its ``hangs``-th event, if it is given one."""

    fingerprint, prompt_tokens, outcome = "fp", 3, TOOK
    let_go = False

    def __init__(self, hangs: int | None = None) -> None:
        self._hangs = hangs

    async def __aiter__(self) -> AsyncIterator[Event]:
        events: list[Event] = [Piece(0, "a"), Piece(0, "b"), Ended(0, "stop")]
        for i, event in enumerate(events):
            if i == self._hangs:
                await asyncio.Event().wait()
            yield event

    def receipt(self) -> None:
        return None

    @asynccontextmanager
    async def tell(self, *, hangs: bool = False) -> AsyncIterator[Answer]:
        try:
            if hangs:
                await asyncio.Event().wait()
            yield self
        finally:
            self.let_go = True


async def text(answer: Told, timeout: float | None, *, hangs: bool = False) -> str:
    async with in_time(answer.tell(hangs=hangs), timeout) as timed:
        whole = (await collect(timed))[0].text
        assert (timed.fingerprint, timed.prompt_tokens) == ("fp", 3)
        assert (timed.outcome, timed.receipt()) == (TOOK, None)
        return whole


@pytest.mark.parametrize("timeout", [None, 600])
def test_what_is_done_in_time_is_the_same(timeout: float | None) -> None:
    answer = Told()
    assert asyncio.run(text(answer, timeout)) == "ab"
    assert answer.let_go


@pytest.mark.parametrize(("answer", "hangs"), [(Told(), True), (Told(0), False), (Told(2), False)])
def test_what_is_not_is_cut_and_let_go(answer: Told, hangs: bool) -> None:
    with pytest.raises(DeadlineError):
        asyncio.run(text(answer, 0.01, hangs=hangs))
    assert answer.let_go


def test_work_has_its_time_too() -> None:
    async def main() -> None:
        assert await done_in_time(asyncio.sleep(0, 3), 600) == 3
        with pytest.raises(DeadlineError):
            await done_in_time(asyncio.Event().wait(), 0.01)

    asyncio.run(main())
