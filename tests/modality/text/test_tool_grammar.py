"""Under a grammar of calls an answer calls tools rightly, or is text."""

from __future__ import annotations

import json

import numpy as np
import pytest

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.modality.text.tool_grammar import call_grammar
from studiolo.modality.text.tools import (
    FORMATS,
    GEMMA,
    HERMES,
    LLAMA3,
    MISTRAL,
    ToolCall,
    ToolFormat,
    read_calls,
)
from studiolo.sampler.constraint import Constraint
from studiolo.sampler.guide import CompiledConstraint, Guides
from tests.modality.text import small
from tests.modality.text.test_tools import BODY, NAMES, SAME, TOOLS
from tests.sampler.walks import walk


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_gguf(small.byte_level())


@pytest.fixture(scope="module")
def guides(tokenizer: Tokenizer) -> Guides:
    return Guides(tokenizer)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("choice", ["required", "get_weather", "now"])
def test_a_forced_answer_is_calls_alone(
    form: ToolFormat, choice: str, tokenizer: Tokenizer, guides: Guides
) -> None:
    compiled = guides.compile(Constraint("grammar", call_grammar(TOOLS, choice, form)))
    for seed in range(30):
        text = walk(compiled, tokenizer, seed, haste=0.5)
        assert text is not None
        shown, calls = read_calls(text, form, NAMES)
        assert shown == ""
        assert calls
        assert choice == "required" or [call.name for call in calls] == [choice]
        assert all(right(call) for call in calls), text


def right(call: ToolCall) -> bool:
    if call.name == "now":
        return call.arguments == {}
    place, days = call.arguments["place"], call.arguments.get("days", 1)
    return set(call.arguments) <= {"place", "days"} and len(place) <= 8 and days in range(1, 8)


@pytest.mark.parametrize(
    ("form", "fine", "wrong"),
    [
        (
            HERMES,
            ["Hello.", f"See:<tool_call>\n{BODY}\n</tool_call> done", "a < b <tool_c"],
            ["<tool_call>\nnow", 'x<tool_call>\n{"name": "rm'],
        ),
        (LLAMA3, ["Hello {", SAME], ['{"name": "rm', '{"a', "`"]),
        (MISTRAL, ["Hello [", f"[{BODY}]", f"[{BODY}, {BODY}]"], ["[1", '[{"name": "rm']),
        (GEMMA, ["Hello {", SAME], ['{"name": "rm', "```"]),
    ],
)
def test_an_answer_may_be_text_and_what_begins_as_a_call_is_one(
    form: ToolFormat, fine: list[str], wrong: list[str], tokenizer: Tokenizer, guides: Guides
) -> None:
    compiled = guides.compile(Constraint("grammar", call_grammar(TOOLS, "auto", form)))
    for text in fine + wrong:
        assert takes(compiled, tokenizer, text.encode()) is (text in fine), text


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_an_answer_of_a_schema_or_calls(
    form: ToolFormat, tokenizer: Tokenizer, guides: Guides
) -> None:
    schema = {"properties": {"sum": {"enum": [1, 2]}}, "required": ["sum"]}
    answer = json.dumps({"type": "object", "additionalProperties": False, **schema})
    grammar = call_grammar(TOOLS, "auto", form, answer=answer)
    compiled = guides.compile(Constraint("grammar", grammar))
    called, answered = 0, 0
    for seed in range(40):
        text = walk(compiled, tokenizer, seed, haste=0.5)
        assert text is not None
        shown, calls = read_calls(text, form, NAMES)
        if calls:
            called += 1
            assert (shown, all(map(right, calls))) == ("", True)
        else:
            answered += 1
            assert json.loads(text)["sum"] in (1, 2)
    assert called
    assert answered
    assert call_grammar(TOOLS, "now", form, answer=answer) == call_grammar(TOOLS, "now", form)


def takes(compiled: CompiledConstraint, tokenizer: Tokenizer, text: bytes) -> bool:
    """Whether the constraint allows the whole text, in the longest tokens that it allows."""
    guide = compiled.begin(tokenizer.vocab_size, tokenizer.eos_ids)
    while text:
        fits = [
            (len(spelled), int(token))
            for token in np.flatnonzero(guide.allowed)
            if token not in tokenizer.eos_ids
            and text.startswith(spelled := tokenizer.token_bytes(int(token)))
        ]
        if not fits:
            return False
        size, token = max(fits)
        guide.take(token)
        text = text[size:]
    return guide.done or any(guide.allowed[end] for end in tokenizer.eos_ids)


def test_a_choice_is_one_of_the_tools() -> None:
    with pytest.raises(InvalidRequestError, match="must be a list of at least one tool"):
        call_grammar([], "required", HERMES)
    with pytest.raises(InvalidRequestError, match="'then' is neither auto, required nor a tool"):
        call_grammar(TOOLS, "then", HERMES)
    assert json.dumps({"type": "object"})[:-1] in call_grammar(
        [{"name": "a", "parameters": {}}], "a", GEMMA
    )
