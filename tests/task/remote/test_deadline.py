"""Answers from elsewhere have their time, before the first word and after it."""

from __future__ import annotations

import asyncio

import pytest

from studiolo.errors import DeadlineError
from studiolo.task.asking import TextAsk, collect
from studiolo.task.remote.deadline import done_in_time, in_time
from studiolo.task.remote.models import open_remotes
from tests.task.remote.upstreams import HELLO, Reply, said, upstream

ASK = TextAsk("m0", messages=[{"role": "user", "content": "hi"}])


async def text(reply: Reply, timeout: float | None) -> str:
    async with upstream(reply) as fake:
        model = open_remotes({"m0": fake.remote(retries=0)})["m0"]
        try:
            async with in_time(model.tell(ASK), timeout) as answer:
                whole = (await collect(answer))[0].text
                took = answer.outcome
                assert (answer.fingerprint, answer.receipt()) == ("", None)
                assert took.prompt_tokens == answer.prompt_tokens
                return whole
        except DeadlineError:
            await asyncio.wait_for(fake.left.wait(), 10)
            raise
        finally:
            await model.aclose()


def test_what_is_done_in_time_is_the_same() -> None:
    assert asyncio.run(text(HELLO, None)) == "Hello"
    assert asyncio.run(text(HELLO, 60)) == "Hello"


@pytest.mark.parametrize("reply", [Reply(ends="silent"), Reply(said("x")[:2], ends="silent")])
def test_what_is_not_is_cut_and_let_go(reply: Reply) -> None:
    with pytest.raises(DeadlineError):
        asyncio.run(text(reply, 0.05))


def test_work_has_its_time_too() -> None:
    async def main() -> None:
        assert await done_in_time(asyncio.sleep(0, 3), 60) == 3
        with pytest.raises(DeadlineError):
            await done_in_time(asyncio.Event().wait(), 0.01)

    asyncio.run(main())
