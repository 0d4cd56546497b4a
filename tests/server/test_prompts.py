"""Prompts that are made beforehand are those that are read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError, UnknownModelError
from studiolo.server.prompts import continued, encoded, language_model
from studiolo.task.asking import TextAsk
from studiolo.task.house import House
from studiolo.task.telling import prepared

SAID = [{"role": "user", "content": "the rain"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
MEMORY = 500_000_000


def ids_of(ask: TextAsk) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Those of ``encoded``, and those that are read for the same ask."""

    async def read() -> tuple[tuple[int, ...], tuple[int, ...]]:
        with House(device="cpu", model_memory=MEMORY, request_memory=MEMORY) as house:
            studio: Any = SimpleNamespace(house=house)
            async with language_model(studio, ask.model, "messages") as lm:
                return await encoded(lm, ask), prepared(lm, ask).request.prompt

    return asyncio.run(read())


@pytest.mark.parametrize(
    "ask",
    [
        TextAsk("tiny", messages=SAID, options={"max_tokens": 3}),
        TextAsk("tiny", messages=SAID, tools=[TOOL], tool_choice="f"),
        TextAsk("tiny", messages=SAID, tools=[TOOL], tool_choice="none"),
        TextAsk("tiny", prompt="the cat"),
        TextAsk("tiny", prompt=[5, 6, 7]),
    ],
)
def test_what_is_encoded_is_what_is_read(ask: TextAsk) -> None:
    made, read = ids_of(ask)
    assert made == read


def test_what_the_assistant_has_begun_is_plain_text() -> None:
    begun = {"role": "assistant", "content": "the <|end|>"}
    made, _ = ids_of(TextAsk("tiny", messages=[*SAID, begun]))
    plain, _ = ids_of(TextAsk("tiny", messages=SAID))
    assert made[: len(plain)] == plain
    end = 4  # the control token <|end|>
    assert end in plain
    assert end not in made[len(plain) :]
    assert len(made) > len(plain)


def test_an_answer_that_is_begun_goes_on_from_what_was_counted() -> None:
    begun = {"role": "assistant", "content": "the str"}

    async def go_on(ask: TextAsk) -> tuple[TextAsk, tuple[int, ...], tuple[int, ...]]:
        with House(device="cpu", model_memory=MEMORY, request_memory=MEMORY) as house:
            studio: Any = SimpleNamespace(house=house)
            made = await continued(studio, ask)
            async with language_model(studio, ask.model, "messages") as lm:
                return made, await encoded(lm, ask), prepared(lm, made).request.prompt

    made, counted, read = asyncio.run(go_on(TextAsk("tiny", messages=[*SAID, begun])))
    assert made.messages == SAID
    assert made.begun_text == "the str"
    assert counted == read
    unchanged = TextAsk("tiny", messages=SAID)
    assert asyncio.run(go_on(unchanged))[0] == unchanged
    allowed = TextAsk("tiny", messages=[*SAID, begun], tools=[TOOL], tool_choice="none")
    assert asyncio.run(go_on(allowed))[0].begun == made.begun
    with pytest.raises(InvalidRequestError, match="goes with no tools"):
        asyncio.run(go_on(TextAsk("tiny", messages=[*SAID, begun], tools=[TOOL])))


def test_only_language_models_of_this_machine_can(tiny_home: Path) -> None:
    async def use(name: str) -> None:
        house = House(
            device="cpu",
            model_memory=MEMORY,
            request_memory=MEMORY,
            elsewhere={"far": SimpleNamespace()},
        )
        studio: Any = SimpleNamespace(house=house)
        with house:
            async with language_model(studio, name, "messages"):
                pass

    with pytest.raises(InvalidRequestError, match="makes vectors, not texts"):
        asyncio.run(use("tiny-encoder"))
    with pytest.raises(InvalidRequestError, match="messages: cannot be done for far"):
        asyncio.run(use("far"))
    with pytest.raises(UnknownModelError):
        asyncio.run(use("nobody"))
