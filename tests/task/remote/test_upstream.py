"""One upstream: tried again while nothing was given out, and left alone after too many failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from studiolo.errors import BusyError, InvalidRequestError, UpstreamError
from studiolo.task.asking import Ended, Event, Piece, TextAsk
from studiolo.task.remote.failure import FailedError
from studiolo.task.remote.upstream import Upstream
from tests.task.remote.upstreams import BROKEN, HELLO, TOO_MANY, Fake, Reply, chunk, sent, upstream

ASK = TextAsk("gpt", messages=[{"role": "user", "content": "hi"}])
HALF = Reply(sent(chunk(delta={"content": "Hel"})))
ERROR = Reply(sent({"error": {"type": "overloaded", "message": "m"}}))


class Clock:
    now = 0.0


@asynccontextmanager
async def trying(
    *replies: Reply, clock: Clock | None = None, **options: Any
) -> AsyncIterator[tuple[Upstream, Fake, list[float]]]:
    """An upstream of ``replies``, and the pauses that it makes, which take no time."""
    pauses: list[float] = []
    clock = clock or Clock()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with upstream(*replies) as fake:
        remote = fake.remote(**options)
        made = Upstream(
            "gpt", remote, "sk-secret", pause=pause, draw=lambda: 0.5, clock=lambda: clock.now
        )
        try:
            yield made, fake, pauses
        finally:
            await made.aclose()


async def heard(made: Upstream) -> list[Event]:
    answer = await made.tell(ASK)
    try:
        return [event async for event in answer]
    finally:
        await answer.aclose()


@pytest.mark.parametrize("bad", [BROKEN, ERROR, Reply(), Reply(sent(b"{")), Reply(ends="broken")])
def test_what_has_not_begun_is_tried_again(bad: Reply) -> None:
    async def main() -> None:
        async with trying(bad, bad, HELLO) as (made, fake, pauses):
            assert await heard(made) == [Piece(0, "Hel"), Piece(0, "lo"), Ended(0, "stop")]
            assert pauses == [0.375, 0.75]
            assert len(fake.asked) == 3
            assert made.breaker.state == "closed"

    asyncio.run(main())


def test_a_kept_connection_that_was_hung_up_on_costs_nothing() -> None:
    async def main() -> None:
        dropped = Reply(ends="dropped")
        async with trying(HELLO, dropped, HELLO, retries=0) as (made, fake, pauses):
            assert await heard(made) == await heard(made)
            assert (pauses, len(fake.asked)) == ([], 3)
        async with trying(dropped, retries=1) as (made, fake, pauses):
            with pytest.raises(FailedError):
                await heard(made)
            assert (len(pauses), len(fake.asked)) == (1, 4)

    asyncio.run(main())


def test_it_waits_as_long_as_it_is_told_and_no_longer_than_a_minute() -> None:
    async def main() -> None:
        async with trying(TOO_MANY, HELLO) as (made, _, pauses):
            await heard(made)
            assert pauses == [3.0]
        long = Reply(status=429, headers={"retry-after": "3600"})
        async with trying(long, HELLO) as (made, fake, pauses):
            with pytest.raises(FailedError) as caught:
                await heard(made)
            assert (pauses, len(fake.asked)) == ([], 1)
            assert isinstance(caught.value.error, BusyError)
            assert caught.value.error.retry_after == 3600

    asyncio.run(main())


def test_retries_come_to_an_end() -> None:
    async def main() -> None:
        async with trying(BROKEN, retries=3) as (made, fake, pauses):
            with pytest.raises(FailedError):
                await heard(made)
            assert len(fake.asked) == 4
            assert pauses == [0.375, 0.75, 1.5]
        async with trying(BROKEN, retries=0) as (made, fake, pauses):
            with pytest.raises(FailedError):
                await heard(made)
            assert (pauses, len(fake.asked)) == ([], 1)

    asyncio.run(main())


def test_what_has_begun_is_not_tried_again_but_told() -> None:
    async def main() -> None:
        async with trying(HALF, HELLO) as (made, fake, _):
            answer = await made.tell(ASK)
            events = aiter(answer)
            assert await anext(events) == Piece(0, "Hel")
            with pytest.raises(UpstreamError, match="gpt, elsewhere, broke off in its answer"):
                await anext(events)
            assert len(fake.asked) == 1
            await answer.aclose()

    asyncio.run(main())


def test_the_request_s_own_fault_is_told_at_once() -> None:
    async def main() -> None:
        refused = Reply([b'{"error": {"message": "no", "param": "stop"}}'], 400)
        async with trying(refused) as (made, fake, pauses):
            with pytest.raises(InvalidRequestError, match="stop: no"):
                await heard(made)
            assert (pauses, len(fake.asked)) == ([], 1)

    asyncio.run(main())


def test_too_many_failures_open_the_circuit() -> None:
    async def main() -> None:
        clock, bad = Clock(), [BROKEN] * 4
        options = {"breaker": {"failures": 3, "seconds": 30}, "retries": 1}
        async with trying(*bad, HELLO, clock=clock, **options) as (made, fake, _):
            for _ in range(2):
                with pytest.raises(FailedError):
                    await heard(made)
            assert (made.breaker.state, len(fake.asked)) == ("open", 3)
            with pytest.raises(FailedError) as caught:
                await heard(made)
            assert caught.value.error.remedy == "Try again in 30 seconds."
            assert len(fake.asked) == 3, "it is left alone"
            clock.now = 31
            with pytest.raises(FailedError):
                await heard(made)
            assert (made.breaker.state, len(fake.asked)) == ("open", 4)
            clock.now = 62
            assert len(await heard(made)) == 3
            assert made.breaker.state == "closed"

    asyncio.run(main())


def test_failures_in_the_middle_count_too() -> None:
    async def main() -> None:
        async with trying(HALF, breaker={"failures": 1}) as (made, _, _):
            with pytest.raises(UpstreamError):
                await heard(made)
            assert made.breaker.state == "open"

    asyncio.run(main())


def test_giving_up_closes_the_connection_and_counts_nothing() -> None:
    async def main() -> None:
        silent = Reply(ends="silent")
        async with trying(silent, breaker={"failures": 1}) as (made, fake, _):
            telling = asyncio.create_task(made.tell(ASK))
            while not fake.asked:
                await asyncio.sleep(0.001)
            telling.cancel()
            await asyncio.wait_for(fake.left.wait(), 10)
            assert telling.cancelled()
            assert made.breaker.state == "closed"

    asyncio.run(main())


def test_the_key_goes_along_and_shows_nowhere() -> None:
    async def main() -> None:
        async with trying(BROKEN, retries=0) as (made, fake, _):
            with pytest.raises(FailedError) as caught:
                await heard(made)
            assert fake.asked[0].headers["authorization"] == "bearer sk-secret"
            assert "secret" not in f"{caught.value.error} {vars(made)}"

    asyncio.run(main())
