from __future__ import annotations

import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.sampler.constraint import KINDS, MAX_CHOICES, MAX_REGEX, Constraint


def test_a_constraint_is_a_value_that_says_what_was_asked() -> None:
    asked = Constraint.asked(json_schema=MappingProxyType({"type": "null"}))
    assert asked == Constraint("json_schema", '{"type": "null"}')
    assert asked == Constraint.asked(json_schema='{"type": "null"}')
    assert hash(asked) == hash(Constraint.asked(json_schema={"type": "null"}))
    assert Constraint.asked(regex="a+") == Constraint("regex", "a+")
    assert Constraint.asked(grammar='start: "a"') == Constraint("grammar", 'start: "a"')
    assert Constraint.asked(choices=("é", "no", "é")) == Constraint("choices", '["é", "no"]')
    assert Constraint.asked() is None
    assert Constraint.asked(json_schema=True) == Constraint("json_schema", "true")


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_two_constraints_are_refused(first: str, second: str) -> None:
    if first == second:
        return
    given: dict[str, Any] = {first: "x", second: "y"}
    with pytest.raises(InvalidRequestError, match="a text has one constraint") as caught:
        Constraint.asked(**given)
    assert caught.value.field in given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"regex": 5}, "regex: must be text, not int"),
        ({"grammar": b"x"}, "grammar: must be text, not bytes"),
        ({"json_schema": {1, 2}}, "json_schema: it is not JSON"),
        ({"json_schema": {1: {}}}, "json_schema: it is not JSON"),
        ({"choices": "yes"}, "choices: must be a list of texts"),
        ({"choices": {"yes", "no"}}, "choices: must be a list of texts"),
        ({"choices": []}, "choices: there is none to choose from"),
        ({"choices": ["a", ""]}, "choices: one of them is empty"),
        ({"choices": ["a", 3]}, "choices: 3 is no text"),
        ({"choices": ["a"] * (MAX_CHOICES + 1)}, "choices: at most 10,000"),
        ({"regex": ""}, "regex: an empty expression"),
        ({"regex": "a" * (MAX_REGEX + 1)}, "regex: 10,001 characters are more"),
        ({"regex": "\ud800"}, "regex: it holds half a character"),
        ({"choices": ["\ud800"]}, "choices: it holds half a character"),
        ({"grammar": 'start: "\ud800"'}, "grammar: it holds half a character"),
    ],
)
def test_what_is_no_constraint_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        prepare(**given)
    assert str(caught.value).startswith(message)


def prepare(**given: Any) -> str:
    asked = Constraint.asked(**given)
    assert asked is not None
    return asked.prepared()


@pytest.mark.parametrize(
    ("regex", "between"),
    [("a/b", r"a\x2fb"), (r"a\/b", r"a\/b"), (r"\\/", r"\\\x2f"), ("[/]", r"[\x2f]")],
)
def test_a_slash_does_not_end_an_expression(regex: str, between: str) -> None:
    grammar = json.loads(prepare(regex=regex))["grammars"][0]["lark_grammar"]
    assert grammar == f"start: /{between}/"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.sampled_from(KINDS), ANYTHING)
def test_whatever_is_asked_it_is_a_value_or_refused(kind: str, value: Any) -> None:
    refused(lambda: Constraint.asked(**{kind: value}), kind)


def refused(ask: Callable[[], object], kind: str) -> None:
    """Run ``ask``; if it fails, only by naming ``kind``."""
    try:
        ask()
    except InvalidRequestError as error:
        if error.field != kind:
            raise
