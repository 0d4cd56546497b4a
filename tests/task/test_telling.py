"""What a model of this machine says, as events: the same as the whole, however it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import studiolo
from studiolo.errors import InvalidRequestError, RequestCancelledError
from studiolo.family.autoregressive import TokenSample
from studiolo.modality.text.tools import ToolCall
from studiolo.runtime.engine import Engine
from studiolo.runtime.scheduler import Pace
from studiolo.runtime.ticket import Ticket
from studiolo.sampler.decoding import generator
from studiolo.task.asking import (
    Called,
    Choice,
    Choices,
    Ended,
    Event,
    Piece,
    TextAsk,
    collect,
)
from studiolo.task.telling import Listener, LocalAnswer, prepared
from tests.conftest import TEMPLATE
from tests.task.scribe import Scribe, writer

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


@pytest.mark.parametrize("invariant", [True, False])
@pytest.mark.parametrize("budget", [1, 3, 64])
def test_the_order_of_text_and_calls_is_theirs_however_many_tokens_a_step_makes(
    lm: studiolo.LanguageModel, invariant: bool, budget: int
) -> None:
    text = f"{SEE} and then {NOW}{NOW}.  Well, " + "well, well, " * 9 + NOW
    model = writer(lm, text, invariant=invariant)
    options = {"seed": 3, "log_probs": 0, "max_tokens": 1000}
    ask: dict[str, Any] = {"messages": SAID, "tools": TOOLS, "options": options}
    events, _ = told(model, Pace(budget=budget, long=budget), **ask)
    now = ToolCall("now", {})
    assert shown(events) == [
        "Let me see.\n", LOOK, "and then ", now, now, ".  Well, " + "well, well, " * 9, now,
    ]  # fmt: skip
    assert events[-1] == Ended(0, "tool_calls")
    called = [event for event in events if isinstance(event, Called)]
    assert [event.place for event in called] == [0, 1, 2, 3]
    (choice,) = samples(events)
    assert b"".join(score.bytes or b"" for score in choice.scores) == text.encode()
    network: Any = model.model.network
    assert (network.steps < len(choice.scores)) is (invariant and budget > 1)
    again, _ = told(writer(lm, text, invariant=not invariant), **ask)
    assert (shown(again), samples(again)) == (shown(events), samples(events))


def test_a_block_of_code_that_is_the_whole_answer_is_a_call_unless_calls_are_held_to_a_schema(
    lm: studiolo.LanguageModel,
) -> None:
    block = '```json\n{"name": "now", "arguments": {}}\n```'
    options = {"max_tokens": 100, "seed": 1}
    ask: dict[str, Any] = {"messages": SAID, "tools": TOOLS, "options": options}
    events, _ = told(writer(lm, block), **ask)
    assert shown(events) == [ToolCall("now", {})]
    assert events[-1] == Ended(0, "tool_calls")
    strict = [{"type": "function", "function": {"name": "now", "strict": True}}]
    events, _ = told(writer(lm, block), **{**ask, "tools": strict})
    assert (shown(events), events[-1]) == ([block], Ended(0, "stop"))


def test_a_call_has_its_own_name_in_its_conversation(lm: studiolo.LanguageModel) -> None:
    def ids(messages: Any, **options: Any) -> list[str]:
        model = writer(lm, NOW + NOW)
        events, _ = told(model, messages=messages, tools=TOOLS, options={"seed": 1, **options})
        return [event.id for event in events if isinstance(event, Called)]

    first = ids(SAID)
    assert first == ids(SAID)
    other = [*ids(SAID, seed=2), *ids([*SAID, *SAID]), *ids(SAID, seed=3, n=2)]
    assert len({*first, *other}) == 2 + 2 + 2 + 4
    assert all(id.startswith("call_") and len(id) == 29 for id in first)


@pytest.mark.parametrize(
    ("template", "text", "calls"),
    [
        (None, f"So. {NOW} and {SEE}", ["now"]),
        (KNOWS, f"{NOW}{NOW}", ["now"]),
        (MISTRAL, '[{"name": "now", "arguments": {}}, {"name": "now", "arguments": {}}]', ["now"]),
        (None, "no call </tool_call> at all", []),
    ],
)
def test_one_call_at_most(
    lm: studiolo.LanguageModel, template: str | None, text: str, calls: list[str]
) -> None:
    model = writer(lm, text, template=template)
    ask: dict[str, Any] = {"messages": SAID, "tools": TOOLS, "parallel": False}
    events, answer = told(model, **ask, options={"seed": 1, "stop": ["zzz"]})
    assert [event.call.name for event in events if isinstance(event, Called)] == calls
    places = [i for i, event in enumerate(events) if isinstance(event, Called)]
    assert not calls or isinstance(events[places[0] + 1], Ended)  # nothing is told after it
    assert events[-1] == Ended(0, "tool_calls" if calls else "stop")
    if template is not MISTRAL:  # what comes after it was never written
        assert answer.outcome.completion_tokens < len(model.tokenizer.encode(text))
        assert answer.receipt().asked.stop == ("zzz", "</tool_call>")
    own, _ = told(model, **ask, options={"seed": 1, "stop": "</tool_call>"})
    assert own[-1] == replace(events[-1], stop=None if template is MISTRAL else "</tool_call>")


def test_a_call_cut_short_is_text_and_a_whole_one_is_not_cut(lm: studiolo.LanguageModel) -> None:
    def ended(text: str, spare: int) -> list[Event]:
        model = writer(lm, text)
        tokens = len(model.tokenizer.encode(text)) - spare
        options = {"max_tokens": tokens, "seed": 1}
        return told(model, messages=SAID, tools=TOOLS, options=options)[0]

    (called, end) = ended(NOW, 3)  # only what closes it is missing
    assert (isinstance(called, Called), end) == (True, Ended(0, "tool_calls"))
    *pieces, end = ended(NOW, 18)
    assert (samples(pieces)[0].text[:18], end) == ('<tool_call>\n{"name', Ended(0, "length"))
    called, *pieces, end = ended(NOW + NOW, 18)
    assert (isinstance(called, Called), end) == (True, Ended(0, "length"))


@pytest.mark.parametrize(
    ("template", "shown"),
    [(None, "<tools>"), (KNOWS, '[{"type": "function", "function": {"name": "now"'), (GEMMA, "<t")],
)
def test_tools_are_shown_by_the_template_or_in_words_and_read_as_they_were_told(
    lm: studiolo.LanguageModel, template: str | None, shown: str
) -> None:
    model = writer(lm, NOW, template=template)
    strict = [{"type": "function", "function": {"name": "now", "strict": False}}]
    events, answer = told(model, messages=SAID, tools=strict, options={"seed": 1})
    assert isinstance(events[0], Called)
    prompt = model.tokenizer.decode(answer.receipt().asked.prompt, skip_special=False)
    assert shown in prompt
    assert "strict" not in prompt
    assert events[-1] == Ended(0, "tool_calls")
    none, answer = told(model, messages=SAID, tools=TOOLS, tool_choice="none", options={"seed": 1})
    assert samples(none)[0].text == NOW
    prompt = model.tokenizer.decode(answer.receipt().asked.prompt, skip_special=False)
    assert "now" not in prompt


def roomy(lm: studiolo.LanguageModel) -> studiolo.LanguageModel:
    """A writer that wants to write something else than a call."""
    return writer(lm, "hello " * 4, invariant=False)


@pytest.mark.parametrize(("choice", "names"), [("required", {"now", "look"}), ("look", {"look"})])
@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_calls_that_are_forced_are_right_ones(
    lm: studiolo.LanguageModel, choice: str, names: set[str], schema: Any
) -> None:
    options = {"seed": 4, "temperature": 100.0, "max_tokens": 400, "json_schema": schema}
    ask: dict[str, Any] = {"messages": SAID, "tools": TOOLS, "tool_choice": choice}
    events, answer = told(roomy(lm), **ask, options=options, parallel=False)
    (called,) = [event for event in events if isinstance(event, Called)]
    assert called.call.name in names
    assert set(called.call.arguments.values()) <= {"a", "b"}
    assert events[-1] == Ended(0, "tool_calls")
    assert samples(events)[0].text == ""
    assert answer.receipt().asked.constraint is not None


def test_a_strict_tool_is_called_rightly_or_not_at_all(lm: studiolo.LanguageModel) -> None:
    wrong = '<tool_call>\n{"name": "look", "arguments": {"q": "c"}}\n</tool_call>'
    strict = [TOOLS[0], {"type": "function", "function": {**TOOLS[1]["function"], "strict": True}}]
    options = {"seed": 1, "max_tokens": 300}
    for tools, held in ((TOOLS, False), (strict, True)):
        events, answer = told(writer(lm, wrong), messages=SAID, tools=tools, options=options)
        (called,) = [event for event in events if isinstance(event, Called)]
        assert (called.call.arguments["q"] in ("a", "b")) is held
        assert (answer.receipt().asked.constraint is not None) is held
    free, answer = told(writer(lm, "a plain answer"), messages=SAID, tools=strict, options=options)
    assert samples(free)[0].text == "a plain answer"


def test_a_schema_beside_tools_is_the_answers(lm: studiolo.LanguageModel) -> None:
    schema = {"type": "object", "properties": {"wet": {"type": "boolean"}}, "required": ["wet"]}
    options = {"seed": 1, "json_schema": schema, "max_tokens": 300}
    ask: dict[str, Any] = {"messages": SAID, "tools": TOOLS, "options": options}
    events, _ = told(writer(lm, '{"wet": true}'), **ask)
    assert json.loads(samples(events)[0].text) == {"wet": True}
    events, _ = told(writer(lm, NOW), **ask)
    assert isinstance(events[0], Called)
    events, _ = told(roomy(lm), **{**ask, "options": {**options, "temperature": 0.0}})
    assert events[-1] != Ended(0, "length")
    for kind, value in (("regex", "a"), ("choices", ["a"]), ("grammar", 'start: "a"')):
        with pytest.raises(InvalidRequestError, match="so that no tool could be called") as caught:
            prepared(lm, TextAsk("m", SAID, tools=TOOLS, options={kind: value}))
        assert caught.value.field == kind


def test_beams_call_tools_too(lm: studiolo.LanguageModel) -> None:
    options = {"beams": 3, "n": 2, "max_tokens": 200}
    events, answer = told(writer(lm, SEE + NOW), messages=SAID, tools=TOOLS, options=options)
    best = samples(events)[0]
    assert ([event.call.name for event in best.calls], best.reason) == (
        ["look", "now"], "tool_calls",
    )  # fmt: skip
    assert len(samples(events)) == 2
    assert answer.outcome.seconds_to_first is not None


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


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_text_with_calls_in_it_is_told_as_it_is_read(
    lm: studiolo.LanguageModel, data: st.DataObject
) -> None:
    parts = data.draw(
        st.lists(st.sampled_from([SEE, NOW, "<tool_call>", "</tool_call>", "é😀", "{", " a"]))
    )
    text = "".join(parts)
    stop = data.draw(st.sampled_from([[], ["é"], ["call>\n{", "a"], ["😀"]]))
    options = {"seed": 1, "log_probs": 0, "max_tokens": data.draw(st.integers(1, 300))}
    ask: dict[str, Any] = {
        "messages": SAID, "tools": TOOLS, "parallel": data.draw(st.booleans()),
        "options": {**options, "stop": stop},
    }  # fmt: skip
    one, _ = told(writer(lm, text), **ask)
    other, answer = told(writer(lm, text, invariant=False), Pace(budget=1), **ask)
    assert samples(one) == samples(other)
    assert shown(one) == shown(other)
    assert answer.outcome.completion_tokens == len(samples(other)[0].scores)


def test_a_scribe_writes_its_script(lm: studiolo.LanguageModel) -> None:
    model = writer(lm, "so it goes")
    assert isinstance(model.model.network, Scribe)
    assert model.chat(SAID).text == "so it goes"
