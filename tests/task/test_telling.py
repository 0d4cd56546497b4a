"""What a model of this machine says, as events: the same as the whole, however it is told."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest

import studiolo
from studiolo.errors import InvalidRequestError, RequestCancelledError
from studiolo.family.autoregressive import TokenSample
from studiolo.runtime.ticket import Ticket
from studiolo.sampler.decoding import generator
from studiolo.task.asking import (
    Ended,
    TextAsk,
    collect,
)
from studiolo.task.telling import Listener, LocalAnswer, prepared
from tests.task.room import (
    SAID,
    TOOLS,
    Room,
    samples,
    told,
)
from tests.task.scribe import Scribe, writer

OPTIONS: list[dict[str, Any]] = [
    {},
    {"n": 3, "log_probs": 2},
    {"stop": ["e", "th", "at"], "log_probs": 0},
    {"stop": "\ufffd", "n": 4},
    {"temperature": 3.0, "log_probs": 1, "n": 2},
    {"regex": "(the |cat |\u00e9)+", "log_probs": 1},
    {"json_schema": {"type": "array", "items": {"enum": [1, "é"]}, "maxItems": 3}, "n": 2},
    {"choices": ["yes", "no"], "log_probs": 1},
    {"beams": 3, "n": 3, "temperature": 1.0},
    {"beams": 2, "stop": ["e", "a"], "n": 2},
    {"ignore_eos": True, "repetition_penalty": 1.2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("how", ["prompt", "ids", "chat", "begun"])
def test_the_events_joined_are_what_the_model_says(
    lm: studiolo.LanguageModel, options: dict[str, Any], how: str
) -> None:
    options = {"max_tokens": 24, "seed": 5, **options}
    ids = tuple(lm.tokenizer.encode("the cat sat"))
    fields: dict[str, Any] = {"messages": SAID}
    if how == "chat":
        made = lm.chat(SAID, **options)
    elif how == "begun":
        fields["begun"] = ids
        made = lm.generate([*lm.encode_chat(SAID), *ids], **options)
    else:
        fields = {"prompt": "the cat sat" if how == "prompt" else ids}
        made = lm.generate("the cat sat", **options)
    events, answer = told(lm, **fields, options=options)
    whole = (made, *made.alternatives)
    choices = samples(events)
    assert [choice.text for choice in choices] == [each.text for each in whole]
    assert [choice.reason for choice in choices] == [each.finish_reason for each in whole]
    for choice, each in zip(choices, whole, strict=True):
        known = each.log_probs or ()
        assert [(s.id, s.log_prob) for s in choice.scores] == [(c.id, c.log_prob) for c in known]
        for score, drawn in zip(choice.scores, known, strict=True):
            assert [(t.id, t.log_prob) for t in score.top] == list(drawn.top)
        stops = options.get("stop", ())
        stopped = bool(stops) and len(each.text) < len(lm.tokenizer.decode(each.token_ids))
        assert (choice.stop is not None) is stopped
        assert choice.stop is None or choice.stop in stops
    assert answer.receipt().to_bytes() == lm.receipt(made).to_bytes()
    usage = answer.outcome
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        made.usage.prompt_tokens, made.usage.completion_tokens,
    )  # fmt: skip
    assert answer.prompt_tokens == made.usage.prompt_tokens
    assert usage.cached_tokens == 0
    assert (usage.weights, usage.engine) == (lm.bundle.digest, lm.model.network.identity)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_answer_that_breaks_off_took_what_was_read_and_made(
    lm: studiolo.LanguageModel, n: int, after: int
) -> None:
    options = {"max_tokens": 100, "ignore_eos": True, "seed": 5, "n": n}
    ask = TextAsk("m", prompt="the cat sat", options=options)
    room, length = Room(lm), len(lm.tokenizer.encode("the cat sat"))

    async def leave(answer: LocalAnswer) -> None:
        heard = aiter(answer)
        for _ in range(after):
            await anext(heard)
        await heard.aclose()  # type: ignore[attr-defined]

    with room.engine, ExitStack() as held:
        answer = room.tell(ask, held)
        asyncio.run(leave(answer))
        held.close()
        ends = [ended(ticket) for ticket in answer._tickets]
        took = answer.outcome
    assert took.completion_tokens == sum(len(each.tokens) for each in ends if each is not None)
    assert took.prompt_tokens == (0 if all(each is None for each in ends) else length)
    assert took.completion_tokens >= (after > 0)
    assert took.seconds >= (took.seconds_to_first or 0)
    assert took.weights
    with pytest.raises(RuntimeError, match="no receipt"):
        answer.receipt()


def ended(ticket: Ticket[TokenSample]) -> TokenSample | None:
    """What there was in the end; None if it was cancelled before it was begun."""
    try:
        return ticket.result(60)
    except RequestCancelledError as cut:
        return cut.sample if isinstance(cut.sample, TokenSample) else None


def test_what_beams_have_taken_so_far_is_known_too(lm: studiolo.LanguageModel) -> None:
    options = {"beams": 3, "n": 2, "max_tokens": 9, "ignore_eos": True}
    ask = TextAsk("m", prompt=[5, 6, 7, 8], options=options)
    telling = prepared(lm, ask)
    listener = Listener(lm, telling, 0, ask)
    progress = lm.model.begin(telling.request, generator(1))
    for grant in (3, 1):
        lm.model.advance([progress], [grant])
        listener(progress)
        assert (listener.read, listener.made) == ((3, 0) if grant == 3 else (4, 2))
    lm.model.advance([progress], [progress.demand])
    listener(progress)
    assert (listener.read, listener.made) == (4, 4)


def test_each_sample_ends_once_and_last(lm: studiolo.LanguageModel) -> None:
    events, _ = told(lm, prompt="the", options={"n": 5, "max_tokens": 9, "seed": 1})
    for i in range(5):
        own = [event for event in events if event.index == i]
        assert [isinstance(event, Ended) for event in own] == [False] * (len(own) - 1) + [True]


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        ({}, "prompt"),
        ({"prompt": "x", "options": {"top_p": 3}}, "top_p"),
        ({"prompt": "x", "suffix": "y"}, "suffix"),
        ({"messages": SAID, "tool_choice": "required"}, "tools"),
        ({"messages": SAID, "tool_choice": "now"}, "tools"),
        ({"messages": SAID, "tools": TOOLS, "tool_choice": "then"}, "tool_choice"),
        ({"messages": SAID, "tools": [*TOOLS, TOOLS[0]]}, "tools"),
        ({"messages": SAID, "tools": TOOLS, "options": {"stop": ["x", 3]}, "parallel": False},
         "stop"),
        ({"messages": SAID, "tools": TOOLS, "tool_choice": "required",
          "options": {"regex": "a"}}, "tool_choice"),
        ({"messages": SAID, "tools": TOOLS, "options": {"json_schema": {"not": {}}}},
         "json_schema"),
        ({"messages": SAID, "tools": TOOLS, "begun": [1]}, "begun"),
        ({"prompt": "x", "begun": [10**6]}, "begun"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_before_anything_begins(
    lm: studiolo.LanguageModel, ask: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        told(writer(lm, "x"), **ask)
    assert caught.value.field == field


def test_an_error_in_one_sample_ends_the_others(lm: studiolo.LanguageModel) -> None:
    model = writer(lm, "a" * 4000)
    network: Any = model.model.network
    read, calls = network._read, [0]

    def broken(piece: Any) -> Any:
        calls[0] += 1
        scores = read(piece)
        return scores * float("nan") if calls[0] == 40 else scores

    network._read = broken
    room = Room(model)

    async def listen() -> list[bool]:
        with ExitStack() as held:
            answer = room.tell(TextAsk("m", SAID, options={"n": 5, "max_tokens": 4000}), held)
            with pytest.raises(Exception, match="nan"):
                await collect(answer)
            for ticket in answer._tickets:  # though the block is not left
                with pytest.raises((RequestCancelledError, studiolo.StudioloError)):
                    await ticket
            with pytest.raises(RuntimeError, match="before its events are over"):
                answer.receipt()
            return [ticket.done for ticket in answer._tickets]

    with room.engine:
        assert asyncio.run(listen()) == [True] * 5
        assert room.engine.loop.scheduler.jobs == 0
    assert calls[0] < 1000


def test_a_scribe_writes_its_script(lm: studiolo.LanguageModel) -> None:
    model = writer(lm, "so it goes")
    assert isinstance(model.model.network, Scribe)
    assert model.chat(SAID).text == "so it goes"
