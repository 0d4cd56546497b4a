"""Houses of tiny models, and what is asked of them."""

from __future__ import annotations

import threading
from typing import Any

from studiolo.task.asking import Choice, Outcome, TextAsk, collect
from studiolo.task.house import House

MEMORY = 500_000_000
LONG: dict[str, Any] = {"max_tokens": 100, "ignore_eos": True}


def opened(**options: Any) -> House:
    given = {"device": "cpu", "model_memory": MEMORY, "request_memory": MEMORY, **options}
    return House(**given)


def ask(prompt: str = "the cat", model: str = "a", **options: Any) -> TextAsk:
    return TextAsk(model, prompt=prompt, options={"seed": 1, "max_tokens": 9, **options})


async def answered(house: House, asked: TextAsk, **more: Any) -> tuple[list[Choice], Outcome]:
    async with house.tell(asked, **more) as answer:
        return await collect(answer), answer.outcome


def is_empty(house: House) -> None:
    """Nothing is in use, under way or waiting; of what is cancelled the loop hears a step later."""
    for _ in range(500):
        scheduler = house.engine.loop.scheduler
        users = [each.users for each in house.engine.models._entries.values()]
        left = (sum(users), scheduler.jobs, scheduler.memory.used)
        if left == (0, 0, 0):
            return
        threading.Event().wait(0.01)
    raise AssertionError(left)
