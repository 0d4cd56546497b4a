"""Calls of tools, as events: those that the model writes, in their places among the text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import studiolo
from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tools import ToolCall
from studiolo.runtime.scheduler import Pace
from studiolo.task.asking import (
    Called,
    Ended,
    Event,
    TextAsk,
)
from studiolo.task.telling import prepared
from tests.task.room import (
    GEMMA,
    KNOWS,
    LOOK,
    MISTRAL,
    NOW,
    SAID,
    SEE,
    TOOLS,
    samples,
    shown,
    told,
)
from tests.task.scribe import writer


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
