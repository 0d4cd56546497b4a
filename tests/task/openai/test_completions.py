"""Prompts as OpenAI's clients send them, and what follows as they read it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from openai.types import Completion

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Choice, Echoed, Ended, Event, Piece, Scored, Spelled
from studiolo.task.openai import completions
from studiolo.task.openai.completions import CompletionBody, ask
from studiolo.task.openai.fields import parse
from tests.task.openai.test_chat import ANSWERS, HEAD, OUTCOME, Told, listed, scored

TEXTS = {name: events for name, events in ANSWERS.items() if "call" not in name}


def body(**fields: Any) -> CompletionBody:
    return parse(CompletionBody, {"prompt": "the", **fields})


def test_what_is_asked() -> None:
    asked = ask(body(logprobs=2, echo=False, max_tokens=3, suffix="end"), "m")
    assert (asked.model, asked.prompt, asked.suffix, asked.messages) == ("m", "the", "end", None)
    assert asked.options == {"log_probs": 2, "max_tokens": 3}
    assert ask(body(suffix=""), "m").suffix is None
    assert ask(body(echo=True), "m").options == {}


@pytest.mark.parametrize(
    ("given", "prompt"),
    [("", ""), ("a", "a"), (["a"], "a"), ([""], ""), ([1, 2], [1, 2]), ([[1, 2]], [1, 2])],
)
def test_a_prompt_may_stand_alone_in_a_list(given: Any, prompt: Any) -> None:
    assert ask(body(prompt=given), "m").prompt == prompt


def test_several_prompts_are_asked_at_once() -> None:
    asked = ask(body(prompt=["a", "", "b"], n=2), "m")
    assert (asked.prompt, asked.others, asked.options) == ("a", ("", "b"), {"n": 2})
    asked = ask(body(prompt=[[1, 2], [3]]), "m")
    assert (asked.prompt, asked.others, asked.echo) == ([1, 2], ([3],), False)


@pytest.mark.parametrize(
    ("fields", "echo"),
    [
        ({}, False),  # whoever writes knows the text
        ({"prompt": ["a", "b"]}, False),
        ({"logprobs": 0}, True),
        ({"max_tokens": 0}, True),
        ({"prompt": [1]}, True),
        ({"prompt": [[1], [2]]}, True),
    ],
)
def test_who_answers_tells_a_prompt_again_of_which_there_is_more_to_say(
    fields: dict[str, Any], echo: bool
) -> None:
    assert ask(body(echo=True, **fields), "m").echo is echo
    assert not ask(body(**{**fields, "max_tokens": 1}), "m").echo


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"best_of": 1}, {}),
        ({"best_of": 3}, {"n": 3, "log_probs": 0}),
        ({"best_of": 3, "n": 2, "logprobs": 4}, {"n": 3, "log_probs": 4}),
        ({"best_of": 2, "n": 2}, {"n": 2}),
        ({"best_of": 2, "n": 2, "stream": True}, {"n": 2}),
    ],
)
def test_of_several_the_best_are_asked(fields: dict[str, Any], options: dict[str, Any]) -> None:
    assert ask(body(**fields), "m").options == options


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ["a", []]}, "prompt.1"),
        ({"prompt": [[1], []]}, "prompt"),
        ({"prompt": ["a"] * 17, "n": 128}, "prompt"),
        ({"prompt": ["a", "b"], "receipt": True}, "receipt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1, "echo": True}, "max_tokens"),
        ({"prompt": [True]}, "prompt.0"),
        ({"prompt": ["a", 1]}, "prompt.1"),
        ({"messages": []}, "messages"),
        ({"logprobs": 2.0}, "logprobs"),
        ({"logprobs": 21}, "logprobs"),
        ({"best_of": 0}, "best_of"),
        ({"best_of": 2, "n": 3}, "best_of"),
        ({"best_of": 3, "n": 2, "stream": True}, "best_of"),
        ({"best_of": 3, "beams": 2}, "best_of"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ask(body(**fields), "m")
    assert caught.value.field == field


def test_options_are_named_as_the_body_names_them() -> None:
    assert completions.names(body(logprobs=1)) == {"log_probs": "logprobs"}
    named = completions.names(body(best_of=2, response_format={"type": "json_object"}))
    assert named == {"log_probs": "best_of", "json_schema": "response_format"}


def whole(events: Sequence[Event], **fields: Any) -> dict[str, Any]:
    return asyncio.run(completions.told(body(**fields), HEAD, Told(events)))


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_the_chunks_joined_are_the_whole(name: str, echo: bool) -> None:
    scores = name in ("scores", "samples") and not echo
    fields: dict[str, Any] = {"echo": echo, "logprobs": 1 if scores else None, "n": 2}
    asked, events = body(**fields), TEXTS[name]
    made = whole(events, **fields)
    Completion.model_validate(made, strict=True)
    assert json.loads(json.dumps(made)) == made
    chunks = asyncio.run(listed(completions.chunks(asked, HEAD, Told(events))))
    for chunk in chunks:
        assert (chunk["id"], chunk["object"], chunk["created"]) == ("cmpl-7", "text_completion", 5)
    for choice in made["choices"]:
        own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert "".join(each["text"] for each in own) == choice["text"]
        assert choice["text"].startswith("the") is echo
        assert own[-1]["finish_reason"] == choice["finish_reason"]
        for part in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
            found = [x for each in own for x in (each["logprobs"] or {part: []})[part]]
            if scores:
                assert found == choice["logprobs"][part]
    if name == "scores" and scores:
        assert made["choices"][0]["logprobs"]["text_offset"] == [0, 1, 2]
        assert made["choices"][0]["logprobs"]["token_logprobs"][-1] == -9999.0


def test_a_last_chunk_tells_what_it_took() -> None:
    told = completions.chunks(body(), HEAD, Told(TEXTS["text"]), include_usage=True)
    chunks = asyncio.run(listed(told))
    assert {str(chunk["usage"]) for chunk in chunks[:-1]} == {"None"}
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 11)


def test_a_token_drawn_is_among_the_likeliest_and_the_likelier_of_twins_counts() -> None:
    top = (Spelled("a", b"a", -0.1), Spelled("a", b"\x61", -3.0), Spelled("b", b"b", -4.0))
    made = whole([Piece(0, "c", (Scored("c", b"c", -9.0, top),)), Ended(0, "stop")], logprobs=3)
    (found,) = made["choices"][0]["logprobs"]["top_logprobs"]
    assert found == {"a": -0.1, "b": -4.0, "c": -9.0}


ECHO = Echoed(
    0, "the cat",
    (Scored("the", b"the", math.nan), Scored(" cat", b" cat", -0.5, (Spelled("!", b"!", -0.1),))),
    (0, 3),
)  # fmt: skip


def test_a_prompt_that_is_scored_stands_before_its_answer() -> None:
    fields: dict[str, Any] = {"echo": True, "logprobs": 1, "prompt": "the cat", "n": 2}
    events: list[Event] = [
        ECHO, replace(ECHO, index=1), Piece(1, "!", (scored("!"),)),
        Piece(0, " s", (scored(" s"),)),
        Ended(0, "length"), Ended(1, "stop"),
    ]  # fmt: skip
    made = whole(events, **fields)
    first, second = made["choices"]
    assert (first["text"], second["text"]) == ("the cat s", "the cat!")
    assert first["logprobs"] == {
        "tokens": ["the", " cat", " s"],
        "token_logprobs": [None, -0.5, -0.5],
        "top_logprobs": [None, {"!": -0.1, " cat": -0.5}, {"z": -0.1, " s": -0.5}],
        "text_offset": [0, 3, 7],
    }
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    chunks = asyncio.run(listed(completions.chunks(body(**fields), HEAD, Told(events))))
    for choice in made["choices"]:
        own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert "".join(each["text"] for each in own) == choice["text"]
        for part, values in choice["logprobs"].items():
            assert [x for each in own for x in (each["logprobs"] or {part: []})[part]] == values


def test_choices_are_numbered_prompt_by_prompt() -> None:
    fields: dict[str, Any] = {"echo": True, "prompt": ["a", "b"], "n": 2}
    events: list[Event] = [Piece(i, str(i)) for i in (3, 0, 2, 1)]
    events += [Ended(i, "stop") for i in range(4)]
    made = whole(events, **fields)
    assert [each["text"] for each in made["choices"]] == ["a0", "a1", "b2", "b3"]
    chunks = asyncio.run(listed(completions.chunks(body(**fields), HEAD, Told(events))))
    for i in range(4):
        own = [c["text"] for chunk in chunks for c in chunk["choices"] if c["index"] == i]
        assert "".join(own) == made["choices"][i]["text"]


def choice(index: int, *log_probs: float) -> Choice:
    return Choice(index, str(index), scores=[scored("x", each) for each in log_probs])


def test_the_best_have_the_greatest_mean_and_no_text_is_the_worst() -> None:
    drawn = [choice(0, -1.0, -3.0), choice(1), choice(2, -1.5), choice(3, -0.5, -2.0, -1.0)]
    best = completions.chosen(body(best_of=4, n=2), drawn)
    assert [(each.index, each.text) for each in best] == [(0, "3"), (1, "2")]
    assert [each.text for each in completions.chosen(body(best_of=4), drawn)] == ["3"]
    every = completions.chosen(body(best_of=4, n=4), drawn)
    assert [each.text for each in every] == ["0", "1", "2", "3"]
    assert completions.chosen(body(n=4), drawn) == drawn
    two = [*drawn, choice(4), choice(5, -9.0), choice(6, -3.0), choice(7, -2.0)]
    each_best = completions.chosen(body(best_of=4, n=2, prompt=["a", "b"]), two)
    assert [each.text for each in each_best] == ["3", "2", "7", "6"]
    assert [each.index for each in each_best] == [0, 1, 2, 3]
    made = completions.whole(body(best_of=4), HEAD, drawn, OUTCOME, "fp")
    assert [(each["index"], each["text"]) for each in made["choices"]] == [(0, "3")]
    assert made["choices"][0]["logprobs"] is None
