from __future__ import annotations

import asyncio

from studiolo.modality.text.tools import ToolCall
from studiolo.task.asking import Called, Choice, Ended, Event, Piece, Scored, Spelled, collect
from tests.task.openai.test_chat import Told

SCORE = Scored("a", b"a", -0.5, (Spelled("b", b"b", -1.0, id=7),), id=5)
CALL = Called(0, 0, "call_1", ToolCall("now", {}))
EVENTS: list[Event] = [
    Piece(2, "x"), Piece(0, "a", (SCORE,)), CALL, Piece(0, ""), Ended(2, "length"),
    Piece(0, "b", (SCORE,)), Ended(0, "tool_calls", "zz"),
]  # fmt: skip


def test_samples_are_collected_whole_and_in_order() -> None:
    assert asyncio.run(collect(Told(EVENTS))) == [
        Choice(0, "ab", [CALL], [SCORE, SCORE], "tool_calls", "zz"),
        Choice(2, "x", [], [], "length", None),
    ]
    assert asyncio.run(collect(Told([]))) == []


def test_a_token_of_a_model_elsewhere_has_no_id() -> None:
    assert Scored("a", b"a", -0.5).id is None
    assert (SCORE.id, SCORE.top[0].id) == (5, 7)
