"""How a house opens models and lets them go, and who waits for room in it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from studiolo.errors import (
    BusyError,
    MemoryLimitError,
    RequestCancelledError,
    StudioloError,
)
from studiolo.family.autoregressive import TokenRequest
from studiolo.runtime.scheduler import Pace
from studiolo.sampler.settings import Decoding
from studiolo.task.house import House
from studiolo.task.text import LanguageModel
from tests.task.houses import LONG, answered, ask, is_empty, opened

pytestmark = pytest.mark.usefixtures("at_home")


class Loading:
    """How often models are opened, and a gate that they wait at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.gate, self.begun = threading.Event(), threading.Event()
        self.faults: list[Exception] = []
        really: Callable[..., Any] = House._open

        def slowly(house: House, name: str, bundle: Any) -> Any:
            self.names.append(name)
            self.begun.set()
            self.gate.wait(30)
            if self.faults:
                raise self.faults.pop()
            return really(house, name, bundle)

        monkeypatch.setattr(House, "_open", slowly)


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Loading:
    return Loading(monkeypatch)


async def begun(loading: Loading) -> None:
    assert await asyncio.to_thread(loading.begun.wait, 30)


def test_however_many_ask_first_a_model_is_opened_once_and_others_go_on(
    house: House, loading: Loading
) -> None:
    async def work() -> None:
        waiting = [asyncio.create_task(answered(house, ask())) for _ in range(100)]
        await begun(loading)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), 30) == 7
        assert list(house.engine.models.loaded) == ["a"]
        with pytest.raises(BusyError, match="a is in use"):
            house.unload("a")
        loading.gate.set()
        first, *others = await asyncio.gather(*waiting)
        assert all(other[0] == first[0] for other in others)

    asyncio.run(work())
    assert loading.names == ["a"]
    is_empty(house)


@pytest.mark.parametrize("leaving", [3, 5])
def test_who_leaves_while_a_model_is_opened_leaves_nothing_behind(
    house: House, loading: Loading, leaving: int
) -> None:
    async def work() -> None:
        waiting = [asyncio.create_task(answered(house, ask())) for _ in range(5)]
        await begun(loading)
        for task in waiting[:leaving]:
            task.cancel()
        done = await asyncio.gather(*waiting[:leaving], return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in done)
        loading.gate.set()
        await asyncio.gather(*waiting[leaving:])
        await answered(house, ask())

    asyncio.run(work())
    assert loading.names == ["a"]
    is_empty(house)
    house.unload("a")
    assert (house.engine.models.loaded, house._opened) == ({}, {})


def test_a_model_that_cannot_be_opened_is_tried_again(house: House, loading: Loading) -> None:
    loading.faults.append(StudioloError("the disk is away"))

    async def work() -> None:
        waiting = [asyncio.create_task(answered(house, ask())) for _ in range(5)]
        await begun(loading)
        loading.gate.set()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert any(isinstance(each, StudioloError) for each in done)
        await answered(house, ask())

    asyncio.run(work())
    is_empty(house)


def test_a_house_that_is_closed_meanwhile_answers_no_more(loading: Loading) -> None:
    house = opened()

    async def work() -> None:
        waiting = [asyncio.create_task(answered(house, ask(model=m))) for m in ("a", "b", "a")]
        await begun(loading)
        await asyncio.to_thread(house.close)
        loading.gate.set()
        for each in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(each, RequestCancelledError)
        for model in ("a", "vectors"):
            with pytest.raises(RequestCancelledError):
                await answered(house, ask(model=model))

    asyncio.run(work())
    with pytest.raises(RequestCancelledError):
        house.load("b")


def test_a_model_that_is_unloaded_is_really_gone(narrow: House) -> None:
    async def use(name: str) -> weakref.ref[LanguageModel]:
        await answered(narrow, ask(model=name, regex="a+", n=2))  # a compiled constraint too
        async with narrow.use(name) as model:
            assert isinstance(model, LanguageModel)
            return weakref.ref(model)

    gc.collect()
    gc.disable()
    try:
        first = asyncio.run(use("a"))
        assert first() is not None
        asyncio.run(use("b"))  # takes the room of a
        assert (first(), list(narrow.engine.models.loaded)) == (None, ["b"])
        second = asyncio.run(use("b"))
        narrow.unload("b")
        assert (second(), narrow.engine.models.loaded, narrow._opened) == (None, {}, {})
    finally:
        gc.enable()
    narrow.unload("nobody")
    with (
        pytest.raises(MemoryLimitError, match="Choose a smaller model"),
        opened(model_memory=9) as h,
    ):
        asyncio.run(answered(h, ask()))


def test_who_is_patient_waits_for_the_room_that_others_have(narrow: House) -> None:
    async def work() -> None:
        async with narrow.tell(ask(**LONG)) as answer:
            events = aiter(answer)
            await anext(events)
            with pytest.raises(BusyError, match=r"in use are a \("):
                await answered(narrow, ask(model="b"))
            patient = asyncio.create_task(answered(narrow, ask(model="b"), patient=True))
            await asyncio.sleep(0.1)
            assert not patient.done()
        choices, _ = await patient
        assert choices[0].text

    asyncio.run(work())
    is_empty(narrow)


def test_a_full_queue_is_told_or_waited_for() -> None:
    gate = threading.Event()
    with opened(pace=Pace(live=2, waiting=2)) as house:

        async def work() -> None:
            async with house.use("a"):
                request = TokenRequest((5,), 1, Decoding())
                house.engine.submit("a", request, watch=lambda _: gate.wait(30))
            while not house.engine.loop.scheduler.memory.used:
                await asyncio.sleep(0)
            first = [asyncio.create_task(answered(house, ask())) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(BusyError, match="Try again"):
                await answered(house, ask())
            patient = asyncio.create_task(answered(house, ask(n=8), patient=True))
            await asyncio.sleep(0.1)
            gate.set()
            assert len((await patient)[0]) == 8
            await asyncio.gather(*first)

        asyncio.run(work())
        is_empty(house)
