from __future__ import annotations

import contextlib
import datetime
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.sampler.json_schema import (
    ENFORCED,
    EXACT,
    MAX_CHARACTERS,
    MAX_LEVELS,
    MAX_NESTING,
    MAX_PROPERTIES,
    NOTES,
    prepare,
    to_text,
)
from tests.sampler.schemas import SCHEMAS


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_can_be_enforced_passes_as_it_is(name: str) -> None:
    prepared = prepare(SCHEMAS[name])
    assert "lenient" not in prepared.pop("x-guidance")
    if SCHEMAS[name].get("format") not in EXACT:
        assert prepared == SCHEMAS[name]
        assert list(prepared) == list(SCHEMAS[name])  # the order of names is the order written
    assert prepare(json.dumps(SCHEMAS[name])) == prepare(SCHEMAS[name])


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": {"a/b": {"not": {}}}}, "json_schema: #/properties/a~1b: the keyword 'not'"),
        ({"anyOf": [{}, {"if": {}}]}, "json_schema: #/anyOf/1: the keyword 'if'"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "x"}}}, "json_schema: #/$defs/a: $ref of"),
        ('{"type": "string", "type": "null"}', "a key stands twice in one object"),
        ("{", "it is not JSON"),
        ('{"minimum": NaN}', "NaN is no number of JSON"),
        ("", "it is not JSON"),
        (False, "`false` allows no text at all"),
        ([], "a schema is an object"),
        ({"format": "regex"}, "the format 'regex' cannot be enforced"),
        ({"$ref": "#/examples/0", "examples": [{}]}, "leads to no schema"),
    ],
)
def test_an_error_names_the_place(schema: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        prepare(schema)
    assert message in str(caught.value)
    assert caught.value.field == "json_schema"


def test_a_name_that_is_a_keyword_is_a_name() -> None:
    prepare({"properties": {name: {"type": "null"} for name in ("not", "$id", "x-guidance")}})
    prepare({"const": {"not": 1}, "enum": [{"if": 2}], "default": {"contains": 3}})


def test_dates_and_times_are_those_of_the_calendar() -> None:
    date, moment = (re.compile(EXACT[name]["pattern"]) for name in ("date", "date-time"))
    for year in range(10_000):
        for day in ("02-29", "02-30", "04-31", "12-31", "13-01", "00-10", "10-00"):
            text = f"{year:04}-{day}"
            try:
                real = bool(datetime.date.fromisoformat(text))
            except ValueError:
                real = False
            assert bool(date.search(text)) is real, text
    for text in ("2024-02-29T23:59:59Z", "0001-01-01T00:00:00.5+23:59"):
        assert moment.search(text)
        datetime.datetime.fromisoformat(text)
    for text in (
        "2024-02-29",
        "2024-02-29T24:00:00Z",
        "2024-02-29T00:00:60Z",
        "2024-02-29T00:00:00",
    ):
        assert not moment.search(text)


def test_a_circle_of_references_with_a_way_out_is_possible() -> None:
    list_or_null = {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}}]}
    assert prepare(list_or_null)["anyOf"] == list_or_null["anyOf"]
    optional = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert prepare(optional)["properties"] == optional["properties"]


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def chain(links: int) -> dict[str, Any]:
    defs = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(links)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{links}": {"type": "null"}}}


def test_what_would_overflow_a_stack_is_refused() -> None:
    prepare(nested(MAX_NESTING))
    prepare(chain(MAX_LEVELS // 2 - 10))
    circle: dict[str, Any] = {}
    circle["items"] = circle
    for schema in (
        nested(MAX_NESTING + 1),
        nested(100_000),
        chain(MAX_LEVELS),
        chain(5_000),
        circle,
    ):
        with pytest.raises(InvalidRequestError, match=r"deep|levels|JSON|characters"):
            prepare(schema)
    with pytest.raises(InvalidRequestError):
        prepare('{"items":' * 100_000 + "{}" + "}" * 100_000)


def test_what_would_take_long_is_refused() -> None:
    many = {"type": "object", "properties": {f"p{i}": {} for i in range(MAX_PROPERTIES + 1)}}
    with pytest.raises(InvalidRequestError, match="400 optional properties"):
        prepare(many)
    prepare({**many, "required": ["p0"]})
    with pytest.raises(InvalidRequestError, match="characters are more than"):
        prepare({"const": "x" * MAX_CHARACTERS})
    prepare("{" + " " * MAX_CHARACTERS + "}")  # spaces do not count


def test_keywords_are_either_enforced_or_notes() -> None:
    assert not ENFORCED & NOTES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*sorted(ENFORCED | NOTES), "not", "$id", "x-guidance"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(JSON | st.text(max_size=20) | st.binary(max_size=5))
def test_whatever_is_given_it_is_prepared_or_refused(value: Any) -> None:
    begun = time.monotonic()
    with contextlib.suppress(InvalidRequestError):
        prepared = prepare(value)
        assert json.loads(json.dumps(prepared)) == prepared
    with contextlib.suppress(InvalidRequestError):
        assert isinstance(to_text(value), str)
    assert time.monotonic() - begun < 1
