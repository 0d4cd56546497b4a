"""Answers of one model without a house around it, and what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import studiolo
from studiolo.modality.text.tools import ToolCall
from studiolo.runtime.engine import Engine
from studiolo.runtime.scheduler import Pace
from studiolo.task.asking import (
    Called,
    Choice,
    Choices,
    Event,
    Piece,
    TextAsk,
)
from studiolo.task.telling import Listener, LocalAnswer, prepared
from tests.conftest import TEMPLATE

SAID: list[Mapping[str, object]] = [{"role": "user", "content": "the rain"}]
KNOWS = "{% if tools %}{{ tools | tojson }}{% endif %}" + TEMPLATE
MISTRAL = "{# [TOOL_CALLS] #}" + KNOWS
GEMMA = "{# <start_of_turn> #}" + TEMPLATE
SEE = 'Let me see.\n<tool_call>\n{"name": "look", "arguments": {"q": "é", "n": [1]}}\n</tool_call>'
NOW = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "now"}},
    {
        "type": "function",
        "function": {
            "name": "look",
            "parameters": {
                "type": "object",
                "properties": {"q": {"enum": ["a", "b"]}},
                "required": ["q"],
                "additionalProperties": False,
            },
        },
    },
]
LOOK = ToolCall("look", {"q": "é", "n": [1]})


class Room:
    """An engine with one model, and what a house does with it."""

    def __init__(self, lm: studiolo.LanguageModel, pace: Pace | None = None) -> None:
        self.lm = lm
        self.engine = Engine(model_memory=10, request_memory=10**9)
        self.engine.add("m", lambda: lm.model, 1, pace)

    def tell(self, ask: TextAsk, held: ExitStack) -> LocalAnswer:
        telling = prepared(self.lm, ask)
        listeners = [Listener(self.lm, telling, i, ask) for i in range(len(telling.seeds))]
        tickets = [
            self.engine.submit("m", telling.request, seed=seed, watch=listener)
            for seed, listener in zip(telling.seeds, listeners, strict=True)
        ]
        for ticket in tickets:
            held.callback(ticket.cancel)
        return LocalAnswer(self.lm, ask, telling, listeners, tickets, 0.0)


def told(
    lm: studiolo.LanguageModel, pace: Pace | None = None, **fields: Any
) -> tuple[list[Event], LocalAnswer]:
    """All events of an answer, and the answer."""
    ask = TextAsk("m", **fields)

    async def listen(room: Room) -> tuple[list[Event], LocalAnswer]:
        with ExitStack() as held:
            answer = room.tell(ask, held)
            return [event async for event in answer], answer

    room = Room(lm, pace)
    with room.engine:
        found = asyncio.run(listen(room))
        assert room.engine.models._entries["m"].users == 0
        assert room.engine.loop.scheduler.jobs == 0
        assert room.engine.loop.scheduler.memory.used == 0
    return found


def shown(events: Sequence[Event]) -> list[str | ToolCall]:
    """Text and calls of one sample in their order, however they were cut."""
    out: list[str | ToolCall] = []
    for event in events:
        if isinstance(event, Called):
            out.append(event.call)
        elif isinstance(event, Piece) and event.text:
            if out and isinstance(out[-1], str):
                out[-1] += event.text
            else:
                out.append(event.text)
    return out


def samples(events: Sequence[Event]) -> list[Choice]:
    choices = Choices()
    for event in events:
        choices.hear(event)
    return choices.made
