"""Bodies are read strictly and named where they are wrong, whatever is sent."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.sampler.settings import Decoding
from studiolo.task.asking import Scored, Spelled
from studiolo.task.openai import chat, completions, embeddings, responses
from studiolo.task.openai.chat import ChatBody
from studiolo.task.openai.completions import CompletionBody
from studiolo.task.openai.embeddings import EmbeddingBody
from studiolo.task.openai.fields import MAX_KEYS, Body, entry, parse, scores
from studiolo.task.openai.responses import ResponseBody

SAID = [{"role": "user", "content": "hello"}]
KINDS: Mapping[type[Body], Callable[[Any], object]] = {
    ChatBody: lambda body: chat.ask(body, "m"),
    CompletionBody: lambda body: completions.ask(body, "m"),
    EmbeddingBody: embeddings.texts,
    ResponseBody: lambda body: responses.ask(body, "m"),
}


def refused(kind: type[Body], body: bytes | Mapping[str, Any]) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        KINDS[kind](parse(kind, body))
    assert caught.value.message.startswith(f"{caught.value.field}: ")
    return caught.value


def options(**fields: Any) -> dict[str, Any]:
    return parse(ChatBody, {"messages": SAID, **fields}).options()


def test_every_dial_is_an_option_and_null_is_none() -> None:
    given: dict[str, Any] = {
        "max_tokens": 5, "temperature": 0.5, "logit_bias": {"7": 1}, "n": 2, "stop": ["a"],
        "seed": 3, "top_k": 5, "min_p": 0.1, "ignore_eos": True, "regex": "a",
    }  # fmt: skip
    assert options(**given) == {**given, "logit_bias": {7: 1.0}}
    assert options(**dict.fromkeys(Decoding.model_fields), user=None, n=None) == {}
    assert options(stream=True, stream_options={"include_usage": True}, user="me") == {}
    assert options(seed=-1)["seed"] == 2**63 - 1
    assert type(options(temperature=1)["temperature"]) is float


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, {}),
        ({"type": "text"}, {}),
        ({"type": "json_object"}, {"json_schema": {"type": "object"}}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
            {"json_schema": {}},
        ),
    ],
)
def test_response_formats_become_constraints(wanted: Any, expected: dict[str, Any]) -> None:
    assert options(response_format=wanted) == expected


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"temprature": 1}, "temprature", "Did you mean temperature?"),
        ({"n": 0}, "n", "should be greater than or equal to 1, not 0"),
        ({"n": True}, "n", "should be a valid integer, not True"),
        ({"n": "5"}, "n", "should be a valid integer, not '5'"),
        ({"n": 129}, "n", "less than or equal to 128"),
        ({"max_tokens": 2.5}, "max_tokens", "valid integer"),
        ({"temperature": -1}, "temperature", "not -1"),
        ({"temperature": 1e999}, "body", "not JSON"),
        ({"json_schema": {"const": float("nan")}}, "body", "not JSON"),
        ({"model": 5}, "model", "valid string"),
        ({"model": ""}, "model", "at least 1 character"),
        ({"stop": ["a", 5]}, "stop.1", "valid string, not 5"),
        ({"ignore_eos": 1}, "ignore_eos", "valid boolean, not 1"),
        ({"stream": "no"}, "stream", "valid boolean"),
        ({"seed": 2**63}, "seed", "less than"),
        ({"logit_bias": {"-x": 2}}, "logit_bias.-x", "valid integer"),
        ({"logit_bias": {"7": 101}}, "logit_bias.7", "less than or equal to 100"),
        ({"response_format": "json"}, "response_format", "should be an object, not 'json'"),
        ({"response_format": {"type": "xml"}}, "response_format", "'text', 'json_object'"),
        ({"response_format": {"type": "text", "x": 1}}, "response_format.x", "no such field here"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
            "is missing",
        ),
        (
            {"json_schema": {}, "response_format": {"type": "json_object"}},
            "json_schema",
            "is given twice",
        ),
        ({"stream_options": {}}, "stream_options", "needs stream to be true"),
        ({"functions": [{"name": "f"}]}, "functions", "is not possible here. Leave it out."),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": "hello"}, "messages", "should be a valid array"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], field: str, words: str) -> None:
    error = refused(ChatBody, {"messages": SAID, **fields})
    assert error.field == field
    assert words in f"{error.message}. {error.remedy}"


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        (b"", "body", "is not JSON"),
        (b"\xff{}", "body", "is not JSON"),
        (b'{"messages": ', "body", "is not JSON"),
        (b"[]", "body", "should be an object"),
        (b"{}", "messages", "is missing"),
        (b'{"n": ' + b"9" * 5000 + b"}", "body", "number out of range"),
        (b'{"x": ' + b"[" * 500 + b"]" * 500 + b"}", "body", "recursion limit"),
        (b'{"stop": "a\\ud83d"}', "stop", "holds half a character (a lone surrogate)"),
        (b'{"a": "\\ud83d\\ude00", "stop": ["\\ude00"]}', "stop", "half a character"),
        (b'{"\\ud83d": 1}', "body", "half a character"),
        (b'{"stop": "\\ud83', "body", "is not JSON"),
        (b'["\\ud83d"]', "body", "is not JSON"),
        (b'{"x": "NaN", "n": NaN}', "body", "is not JSON"),
        (b'{"messages": "Infinity"}', "messages", "should be a valid array"),
    ],
)
def test_what_is_no_body_is_told_so(text: bytes, field: str, words: str) -> None:
    error = refused(ChatBody, text)
    assert error.field == field
    assert words in error.message
    error.message.encode()


def test_a_long_value_is_not_said_again() -> None:
    for value in ("x" * 100, ["x"] * 3, {"x": 1}):
        assert " not " not in refused(ChatBody, {"messages": SAID, "n": value}).message


LONG = 400_000
MANY: dict[str, tuple[type[Body], bytes, str]] = {
    "wrong items": (CompletionBody, b'{"prompt": [' + b"null," * LONG + b"1]}", "prompt.0"),
    "wrong messages": (ChatBody, b'{"messages": [' + b"1," * LONG + b"1]}", "messages.0"),
    "unknown fields": (
        ChatBody,
        b'{"messages": [{' + b",".join(b'"%d":1' % i for i in range(LONG)) + b"}]}",
        "body",
    ),
    "wrong biases": (
        CompletionBody,
        b'{"logit_bias": {' + b",".join(b'"a%d":1' % i for i in range(MAX_KEYS - 9)) + b"}}",
        "body",
    ),
    "colons": (CompletionBody, json.dumps({"prompt": 'a":' * LONG, "n": 0}).encode(), "n"),
    "backslashes": (CompletionBody, json.dumps({"prompt": '\\":' * LONG, "n": 0}).encode(), "n"),
}


@pytest.mark.parametrize("name", MANY)
def test_a_body_wrong_in_many_places_costs_no_more_than_others(name: str) -> None:
    kind, body, field = MANY[name]
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert refused(kind, body).field == field
    assert time.process_time() - started < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB


def test_as_many_biases_as_a_vocabulary_has_are_read() -> None:
    biases = {str(i): -1 for i in range(200_000)}
    assert len(options(logit_bias=biases)["logit_bias"]) == 200_000


def test_tokens_are_written_with_their_bytes() -> None:
    found = Scored("é", b"\xc3\xa9", -0.5, (Spelled("<7>", None, float("-inf")),))
    assert entry(found) == {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    assert scores((found,)) == [
        {**entry(found), "top_logprobs": [{"token": "<7>", "logprob": -9999.0, "bytes": None}]}
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
TYPES = ["function", "text", "json_object", "json_schema", "message", "input_text", "custom"]
ROLES = ["user", "assistant", "system", "developer", "tool", "nobody"]
INNER = st.sampled_from(
    [
        *("role", "content", "type", "text", "function", "name", "arguments", "tool_calls", "id"),
        *("parameters", "strict", "json_schema", "schema", "tool_call_id", "include_usage"),
        *("call_id", "output", "format"),
    ]
)
NEAR = st.recursive(
    JSON | st.sampled_from([*TYPES, *ROLES, "{}", "auto", "none"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(INNER, inner, max_size=4)
        | st.fixed_dictionaries({"role": st.sampled_from(ROLES), "content": inner})
        | st.fixed_dictionaries({"type": st.sampled_from(TYPES)}, optional={"function": inner})
    ),
    max_leaves=8,
)
"""JSON that is now and then nearly right."""


@settings(max_examples=150, deadline=None)
@given(st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_any_json_is_read_or_refused_by_name(kind: type[Body], data: st.DataObject) -> None:
    known = [each.alias or name for name, each in kind.model_fields.items()]
    fields = st.dictionaries(st.sampled_from(known) | st.text(max_size=6), NEAR, max_size=5)
    body = data.draw(
        fields | fields.map(lambda given: {"messages": SAID, "prompt": "x", "input": "x"} | given)
    )
    if data.draw(st.booleans()):
        body = {name: value for name, value in body.items() if name in known}
    try:
        KINDS[kind](parse(kind, body))
    except InvalidRequestError as error:
        first = error.field.split(".")[0]
        assert first in {*body, *known, "body"} or error.field in body  # noqa: PT017
        error.message.encode()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode) | JSON.map(json.dumps))
@pytest.mark.parametrize("kind", KINDS)
def test_any_bytes_are_refused_by_name(kind: type[Body], text: bytes | str) -> None:
    refused(kind, text if isinstance(text, bytes) else text.encode())
