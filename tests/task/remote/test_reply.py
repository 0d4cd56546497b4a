"""An answer from elsewhere: its events, and what it took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from studiolo.task.asking import Answer, Ended, Event, Outcome, Piece, TextAsk, collect
from studiolo.task.remote.openai_reader import OpenAIReader
from studiolo.task.remote.reply import RemoteAnswer
from studiolo.task.remote.wire import Tally


def answer(*events: Event, tally: Tally) -> RemoteAnswer:
    reader = OpenAIReader(TextAsk("m"))

    async def told() -> AsyncGenerator[Event, None]:
        for event in events:
            yield event
        reader.tally = tally

    return RemoteAnswer(told(), reader, 10, 0.0)


def outcome(made: RemoteAnswer) -> Outcome:
    async def main() -> Outcome:
        await made.begin()
        (choice,) = await collect(made)
        assert (choice.text, choice.reason) == ("né", "stop")
        return made.outcome

    return asyncio.run(main())


WHOLE = Piece(0, "n"), Piece(0, "é"), Ended(0, "stop")


def test_what_the_upstream_says_counts() -> None:
    made = answer(*WHOLE, tally=Tally(7, 3, 2))
    assert made.prompt_tokens == 3, "an estimate until it has said"
    took = outcome(made)
    assert (took.prompt_tokens, took.cached_tokens, took.completion_tokens) == (7, 3, 2)
    assert took.seconds_to_first is not None
    assert 0 < took.seconds_to_first <= took.seconds
    assert (took.weights, took.engine) == ("", "")
    answered: Answer = made
    assert answered.receipt() is None


def test_what_broke_off_is_what_was_said_so_far() -> None:
    made = answer(Piece(0, "twelve bytes"), *WHOLE, tally=Tally(7, 3, 20))
    made._reader.tally.completion = 1  # as Anthropic begins

    async def leave() -> None:
        await made.begin()
        assert made.outcome.completion_tokens == 1
        await anext(aiter(made))
        await made.aclose()

    asyncio.run(leave())
    took = made.outcome
    assert (took.prompt_tokens, took.completion_tokens) == (3, 3)
    assert took.seconds_to_first is not None
    assert took.seconds > took.seconds_to_first


def test_what_it_does_not_say_is_estimated() -> None:
    took = outcome(answer(*WHOLE, tally=Tally(None, 9, None)))
    assert (took.prompt_tokens, took.cached_tokens, took.completion_tokens) == (3, 3, 1)
