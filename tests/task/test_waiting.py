"""Who waits for room, and what is done beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from studiolo.errors import BusyError, InvalidRequestError
from studiolo.task.asking import TextAsk
from studiolo.task.waiting import LONG, beside, patiently, takes_long

SAID = {"role": "user", "content": "a" * LONG}


@pytest.mark.parametrize(
    ("ask", "long"),
    [
        (TextAsk("m", prompt="a" * (LONG - 1)), False),
        (TextAsk("m", prompt="a" * (LONG - 1), suffix="b"), True),
        (TextAsk("m", prompt=[5] * LONG), True),
        (TextAsk("m", messages=[SAID]), True),
        (TextAsk("m", messages=[{"role": "user", "content": "a"}]), False),
        (TextAsk("m", prompt="a", options={"regex": "a", "seed": 1}), True),
        (TextAsk("m", prompt="a", options={"regex": None, "seed": 1}), False),
        (TextAsk("m", prompt="a", options={"adapter": "a"}), True),
        (TextAsk("m", messages=[], tools=[{"name": "f"}]), True),
    ],
)
def test_what_takes_long_to_prepare(ask: TextAsk, long: bool) -> None:
    assert takes_long(ask) is long


def test_long_work_is_done_in_another_thread() -> None:
    for long in (False, True):
        found = asyncio.run(beside(long, threading.current_thread))
        assert (found is not threading.main_thread()) is long


def test_who_is_patient_asks_until_there_is_room() -> None:
    answers: list[Any] = [BusyError("later"), BusyError("later"), 7]

    async def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    assert asyncio.run(patiently(ask)) == 7
    answers.append(InvalidRequestError("n", "is wrong"))
    with pytest.raises(InvalidRequestError):
        asyncio.run(patiently(ask))
