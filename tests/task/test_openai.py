"""Bodies of the OpenAI API: read strictly, written as its clients read them."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import studiolo
from studiolo.errors import (
    InvalidRequestError,
    MalformedFileError,
    MemoryLimitError,
    UnknownModelError,
)
from studiolo.task.openai import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    FIELDS,
    URLS,
    Url,
    read_body,
    write_embeddings,
    write_error,
    write_text,
)

SAID = [{"role": "user", "content": "hello"}]


def test_chat() -> None:
    body = {
        "model": "m", "messages": SAID, "max_completion_tokens": 5, "temperature": 0.5,
        "logprobs": True, "top_logprobs": 3, "logit_bias": {"7": 1, "-x": 2}, "n": 2, "user": "me",
        "stop": ["a"], "seed": 3, "top_k": 5, "stream": False, "presence_penalty": None,
    }  # fmt: skip
    asked = read_body(CHAT, body)
    assert (asked.url, asked.model, asked.subject) == (CHAT, "m", SAID)
    assert asked.options == {
        "max_tokens": 5, "temperature": 0.5, "log_probs": 3, "logit_bias": {7: 1, "-x": 2},
        "n": 2, "stop": ["a"], "seed": 3, "top_k": 5,
    }  # fmt: skip
    assert read_body(CHAT, {"messages": SAID, "logprobs": True}).options == {"log_probs": 0}
    assert read_body(CHAT, {"messages": SAID, "logprobs": False}).options == {}


def test_completions() -> None:
    asked = read_body(COMPLETIONS, {"prompt": "x", "logprobs": 2, "echo": False})
    assert (asked.model, asked.subject, asked.options) == (None, "x", {"log_probs": 2})
    assert read_body(COMPLETIONS, {"prompt": [1, 2]}).subject == [1, 2]


def test_embeddings() -> None:
    assert read_body(EMBEDDINGS, {"input": "x"}).subject == ["x"]
    assert read_body(EMBEDDINGS, {"input": [1, 2]}).subject == [[1, 2]]
    asked = read_body(EMBEDDINGS, {"input": ["x", [3]], "encoding_format": "base64"})
    assert asked.subject == ["x", [3]]
    assert asked.options == {"encoding_format": "base64"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"type": "text"}, {}),
        ({"type": "json_object"}, {"json_schema": {"type": "object"}}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
            {"json_schema": {}},
        ),
    ],
)
def test_response_formats_become_constraints(wanted: Any, expected: dict[str, Any]) -> None:
    assert read_body(CHAT, {"messages": SAID, "response_format": wanted}).options == expected


@pytest.mark.parametrize(
    ("url", "body", "field"),
    [
        (CHAT, {}, "messages"),
        (CHAT, {"messages": "hello"}, "messages"),
        (CHAT, {"messages": ["hello"]}, "messages"),
        (CHAT, {"messages": SAID, "prompt": "x"}, "prompt"),
        (CHAT, {"messages": SAID, "max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
        (CHAT, {"messages": SAID, "logprobs": 1}, "logprobs"),
        (CHAT, {"messages": SAID, "top_logprobs": 1}, "top_logprobs"),
        (CHAT, {"messages": SAID, "logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        (CHAT, {"messages": SAID, "logprobs": True, "top_logprobs": True}, "top_logprobs"),
        (CHAT, {"messages": SAID, "stream": True}, "stream"),
        (CHAT, {"messages": SAID, "stream": "no"}, "stream"),
        (CHAT, {"messages": SAID, "model": 5}, "model"),
        (CHAT, {"messages": SAID, "ignore_eos": 1}, "ignore_eos"),
        (CHAT, {"messages": SAID, "response_format": "json"}, "response_format"),
        (CHAT, {"messages": SAID, "response_format": {"type": "xml"}}, "response_format"),
        (CHAT, {"messages": SAID, "response_format": {"type": "text", "x": 1}}, "response_format"),
        (
            CHAT,
            {"messages": SAID, "response_format": {"type": "json_schema", "json_schema": {}}},
            "response_format",
        ),
        (
            CHAT,
            {"messages": SAID, "json_schema": {}, "response_format": {"type": "json_object"}},
            "json_schema",
        ),
        (COMPLETIONS, {}, "prompt"),
        (COMPLETIONS, {"prompt": ["a", "b"]}, "prompt"),
        (COMPLETIONS, {"prompt": []}, "prompt"),
        (COMPLETIONS, {"prompt": [True]}, "prompt"),
        (COMPLETIONS, {"prompt": "x", "echo": True}, "echo"),
        (COMPLETIONS, {"prompt": "x", "logprobs": 2.0}, "logprobs"),
        (COMPLETIONS, {"prompt": "x", "best_of": 2}, "best_of"),
        (EMBEDDINGS, {}, "input"),
        (EMBEDDINGS, {"input": []}, "input"),
        (EMBEDDINGS, {"input": ["a", 5]}, "input"),
        (EMBEDDINGS, {"input": [[]]}, "input"),
        (EMBEDDINGS, {"input": "x", "dimensions": 5}, "dimensions"),
        (EMBEDDINGS, {"input": "x", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_what_is_wrong_is_named(url: Url, body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_body(url, body)
    assert caught.value.field == field


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.data())
def test_any_body_is_read_or_refused_by_name(data: st.DataObject) -> None:
    url = data.draw(st.sampled_from(URLS))
    names = st.sampled_from(sorted(FIELDS[url])) | st.text(max_size=6)
    body = data.draw(st.dictionaries(names, JSON, max_size=5))
    try:
        asked = read_body(url, body)
    except InvalidRequestError as error:
        assert error.field in {*body, *FIELDS[url]}  # noqa: PT017 - either way is right
        return
    assert asked.url == url


def test_a_text_is_written_as_clients_read_it(lm: studiolo.LanguageModel) -> None:
    made = lm.generate("the cat", max_tokens=4, n=2, seed=1, log_probs=2, ignore_eos=True)
    chat = write_text(CHAT, lm.tokenizer, made, id="7", created=5, model="m")
    plain = write_text(COMPLETIONS, lm.tokenizer, made, id="7", created=5, model="m")
    assert json.loads(json.dumps(chat)) == chat
    assert (chat["id"], chat["object"], chat["created"]) == ("chatcmpl-7", "chat.completion", 5)
    assert (plain["id"], plain["object"]) == ("cmpl-7", "text_completion")
    assert chat["usage"] == {
        "prompt_tokens": made.usage.prompt_tokens,
        "completion_tokens": 8,
        "total_tokens": made.usage.prompt_tokens + 8,
    }
    for index, each in enumerate((made, made.alternatives[0])):
        assert chat["choices"][index]["index"] == index
        assert chat["choices"][index]["message"]["content"] == each.text
        assert plain["choices"][index]["text"] == each.text
        assert plain["choices"][index]["finish_reason"] == each.finish_reason == "length"
        entries = chat["choices"][index]["logprobs"]["content"]
        assert each.log_probs is not None
        assert [e["logprob"] for e in entries] == [c.log_prob for c in each.log_probs]
        assert b"".join(bytes(e["bytes"]) for e in entries).decode("utf-8", "replace") == each.text
        assert all(len(e["top_logprobs"]) == 2 for e in entries)
        shorter = plain["choices"][index]["logprobs"]
        assert shorter["token_logprobs"] == [c.log_prob for c in each.log_probs]
        assert shorter["tokens"] == [e["token"] for e in entries]
    bare = write_text(
        CHAT, lm.tokenizer, lm.generate("a", max_tokens=1), id="", created=0, model=""
    )
    assert bare["choices"][0]["logprobs"] is None


def test_vectors_are_written_as_numbers_or_as_bytes() -> None:
    vectors = [torch.tensor([0.1, -1e-8]), torch.tensor([1.0, 2.0])]
    numbers = write_embeddings(vectors, 9, encoding="float", model="m")
    assert numbers["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    packed = write_embeddings(vectors, 9, encoding="base64", model="m")
    for i, vector in enumerate(vectors):
        assert torch.tensor(numbers["data"][i]["embedding"]).equal(vector)
        raw = base64.b64decode(packed["data"][i]["embedding"])
        assert np.frombuffer(raw, "<f4").tolist() == vector.tolist()


def test_errors_say_whose_fault_it_is() -> None:
    status, body = write_error(InvalidRequestError("top_p", "is odd", remedy="Do."))
    assert status == 400
    assert body["error"] == {
        "message": "top_p: is odd. Do.",
        "type": "invalid_request_error",
        "param": "top_p",
        "code": "InvalidRequestError",
    }
    assert write_error(UnknownModelError("x", []))[0] == 404
    assert write_error(MemoryLimitError("x"))[0] == 400
    assert write_error(MalformedFileError("x"))[0] == 500
    assert write_error(KeyError("x"))[1]["error"]["message"] == "KeyError: 'x'"
