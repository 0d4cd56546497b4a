from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import torch
from openai.types import CreateEmbeddingResponse

from studiolo.errors import InvalidRequestError
from studiolo.task.openai.embeddings import MAX_TEXTS, EmbeddingBody, names, texts, whole
from studiolo.task.openai.fields import parse

VECTORS = [torch.tensor([0.1, -1e-8]), torch.tensor([1.0, 2.0])]


def body(**fields: Any) -> EmbeddingBody:
    return parse(EmbeddingBody, {"input": "x", **fields})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("x", ["x"]),
        ("", [""]),
        (["x", "y"], ["x", "y"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        (["x", [3]], ["x", [3]]),
        ([[]], [[]]),
    ],
)
def test_texts_and_token_ids_are_read(given: Any, read: list[Any]) -> None:
    assert texts(body(input=given)) == read


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", 5]}, "input.1"),
        ({"input": [[1.5]]}, "input.0.0"),
        ({"input": ["x"] * (MAX_TEXTS + 1)}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"stream": True}, "stream"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        texts(body(**fields))
    assert caught.value.field == field


def test_as_many_texts_as_may_be_are_read_and_named_by_their_place() -> None:
    assert len(texts(body(input=["x"] * MAX_TEXTS))) == MAX_TEXTS
    assert names(body(input=["x", "y"])) == {"texts[0]": "input.0", "texts[1]": "input.1"}
    assert names(body(input=[1, 2])) == {"texts[0]": "input"} == names(body())


def test_vectors_are_written_as_numbers_or_as_bytes() -> None:
    numbers = whole(body(encoding_format="float", dimensions=2), VECTORS, 9, "m")
    packed = whole(body(encoding_format="base64"), VECTORS, 9, "m")
    assert whole(body(), VECTORS, 9, "m") == numbers
    assert numbers["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    CreateEmbeddingResponse.model_validate(numbers, strict=True)
    for i, vector in enumerate(VECTORS):
        assert torch.tensor(numbers["data"][i]["embedding"]).equal(vector)
        raw = base64.b64decode(packed["data"][i]["embedding"])
        assert np.frombuffer(raw, "<f4").tolist() == vector.tolist()


def test_another_width_is_refused_with_both() -> None:
    with pytest.raises(InvalidRequestError, match="must be 2, the width of m's vectors, not 5"):
        whole(body(dimensions=5), VECTORS, 9, "m")
