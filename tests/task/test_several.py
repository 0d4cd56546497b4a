"""Several prompts at once are each answered as alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import studiolo
from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Answer, Choice, Ended, Outcome, Piece, TextAsk, collect
from studiolo.task.house import House
from studiolo.task.several import Several, several
from tests.task.openai.test_chat import Told

MEMORY = 500_000_000
PROMPTS: list[Any] = ["the cat", [5, 6, 7], "", "the rain fell"]


@pytest.fixture
def house(tiny: str) -> Iterator[House]:
    with House(device="cpu", model_memory=MEMORY, request_memory=MEMORY) as made:
        made.admit(tiny)
        yield made


def answered(house: House, ask: TextAsk) -> tuple[list[Choice], Outcome]:
    async def one() -> tuple[list[Choice], Outcome]:
        async with house.tell(ask) as answer:
            return await collect(answer), answer.outcome

    return asyncio.run(one())


@pytest.mark.parametrize("options", [{}, {"n": 3}, {"n": 2, "beams": 2, "log_probs": None}])
def test_each_is_answered_as_alone(house: House, tiny: str, options: dict[str, Any]) -> None:
    given = {"seed": 3, "max_tokens": 7, "log_probs": 1, **options}
    prompts = [each for each in PROMPTS if each != ""]
    asks = [TextAsk(tiny, prompt=each, options=given) for each in prompts]
    together, took = answered(
        house, TextAsk(tiny, prompt=prompts[0], others=prompts[1:], options=given)
    )
    alone = [answered(house, ask) for ask in asks]
    assert [choice.index for choice in together] == list(range(3 * given.get("n", 1)))
    for choice, other in zip(together, [c for each, _ in alone for c in each], strict=True):
        assert (choice.text, choice.scores, choice.reason) == (
            other.text, other.scores, other.reason,
        )  # fmt: skip
    assert took.prompt_tokens == sum(each.prompt_tokens for _, each in alone)
    assert took.completion_tokens == sum(each.completion_tokens for _, each in alone)
    assert took.weights == alone[0][1].weights


def test_a_bad_one_is_named_by_its_place_and_leaves_nothing(house: House, tiny: str) -> None:
    ask = TextAsk(tiny, prompt="a", others=["b", ""], options={"max_tokens": 100})
    with pytest.raises(InvalidRequestError, match=r"^prompt\.2: is empty"):
        answered(house, ask)
    while house.engine.loop.scheduler.jobs:
        pass
    house.unload(tiny)


def test_only_the_first_may_find_no_room() -> None:
    waits, left = [], []

    @asynccontextmanager
    async def tell(ask: TextAsk, patient: bool) -> AsyncIterator[Answer]:
        waits.append((ask.prompt, patient))
        yield Told([Piece(0, str(ask.prompt)), Ended(0, "stop")])
        left.append(ask.prompt)

    async def both() -> list[Choice]:
        async with several(TextAsk("m", prompt="a", others=["b", "c"]), tell) as answer:
            assert answer.receipt() is None
            return await collect(answer)

    assert [choice.text for choice in asyncio.run(both())] == ["a", "b", "c"]
    assert waits == [("a", False), ("b", True), ("c", True)]
    assert sorted(map(str, left)) == ["a", "b", "c"]


def test_what_all_took_is_one_sum() -> None:
    first = Told([], outcome=Outcome(3, 2, 8, 0.3, 0.9, "w", "e"), prompt_tokens=3)
    second = Told([], outcome=Outcome(4, 0, 1, 0.1, 0.2, "w", "e"), prompt_tokens=4)
    third = Told([], outcome=Outcome(1, 0, 0, None, 0.4, "w", "e"), prompt_tokens=1)
    made = Several([first, second, third], 1)
    assert made.outcome == Outcome(8, 2, 9, 0.1, 0.9, "w", "e")
    assert (made.prompt_tokens, made.fingerprint) == (8, "fp_1")
    assert Several([third], 1).outcome.seconds_to_first is None


def test_leaving_ends_the_work_on_all(house: House, tiny: str, lm: studiolo.LanguageModel) -> None:
    options = {"max_tokens": 100, "ignore_eos": True}

    async def leave() -> Outcome:
        async with house.tell(TextAsk(tiny, prompt="a", others=["b"], options=options)) as answer:
            events = aiter(answer)
            await anext(events)
            await events.aclose()  # type: ignore[attr-defined]
            return answer.outcome

    took = asyncio.run(leave())
    assert took.prompt_tokens in (1, 2)
    while house.engine.loop.scheduler.jobs:
        pass
    house.unload(tiny)
