"""Which kind a native body is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.invocations import FAMILIES
from studiolo.server.bedrock.native import family_of, object_of


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"anthropic_version": "x", "messages": [], "max_tokens": 1}, "Anthropic's Messages"),
        ({"messages": [], "max_tokens": 1}, "OpenAI's chat completions"),
        ({"prompt": "a", "max_gen_len": 1}, "Meta's Llama"),
        ({"prompt": "a", "max_tokens": 1}, "Mistral's"),
        ({"inputText": "a"}, "Amazon's Titan"),
    ],
)
def test_families_are_told_by_their_fields(body: dict[str, Any], name: str) -> None:
    assert family_of(body, FAMILIES).name == name


@pytest.mark.parametrize("body", [{}, {"prompt": "a"}, {"max_tokens": 1}, {"inputs": "a"}])
def test_another_body_is_refused_with_those_that_are_known(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        family_of(body, FAMILIES)
    assert wrong.value.field == "body"
    assert "max_gen_len and prompt (Meta's Llama)" in str(wrong.value)


def _objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.text(), values)


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b'{"a": NaN}', b'{"a": "\xff"}', DEEP])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        object_of(body)


@given(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | _objects(x)))
def test_an_object_is_read_as_json_has_it(value: object) -> None:
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    if isinstance(value, dict):
        assert object_of(body) == json.loads(body)
    else:
        with pytest.raises(InvalidRequestError, match="is not a JSON object"):
            object_of(body)
