"""What the document says of OpenAI's answers, held against answers and the client's own types."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from openai.types import CompletionUsage, CreateEmbeddingResponse, FileObject, Model
from openai.types.batch import Batch
from openai.types.chat import ChatCompletion
from openai.types.completion import Completion
from openai.types.responses import Response
from pydantic import BaseModel

from studiolo.server.openai import shapes
from tests.server.serving import Served

ASKED: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/tiny", None),
    ("GET", "/v1/files", None),
    ("GET", "/v1/batches", None),
    ("POST", "/v1/completions", {"prompt": "a", "max_tokens": 2, "n": 2, "logprobs": 1}),
    ("POST", "/v1/embeddings", {"input": ["a", "b"]}),
    ("POST", "/v1/embeddings", {"input": "a", "encoding_format": "base64"}),
    ("POST", "/v1/responses", {"input": "a", "max_output_tokens": 20}),
    (
        "POST",
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2, "logprobs": True},
    ),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKED, ids=lambda value: str(value)[:30])
def test_answers_have_their_shape(
    served: Served, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = served.http().request(method, path, json=body)
    assert answer.status_code == 200, answer.text
    known = shapes.ANSWERS[f"{method} {path.replace('/tiny', '/{model}')}"]
    jsonschema.validate(answer.json(), known)


def test_errors_have_theirs(served: Served) -> None:
    for path in ("/v1/completions", "/v1/nowhere"):
        answer = served.http().post(path, json={"x": 1})
        assert answer.status_code >= 400
        jsonschema.validate(answer.json(), shapes.ERROR)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (shapes.CHAT, ChatCompletion),
        (shapes.COMPLETION, Completion),
        (shapes.EMBEDDINGS, CreateEmbeddingResponse),
        (shapes.MODEL, Model),
        (shapes.FILE, FileObject),
        (shapes.BATCH, Batch),
        (shapes.RESPONSE, Response),
        (shapes.CHAT["properties"]["usage"], CompletionUsage),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_shape_names_fields_that_the_client_knows(
    shape: dict[str, Any], kind: type[BaseModel]
) -> None:
    assert set(shape["properties"]) <= set(kind.model_fields)
    needed = {name for name, field in kind.model_fields.items() if field.is_required()}
    missing = needed - set(shape["required"])
    # What the client takes for granted of a response is in every one; its own tests look at it.
    assert missing == set() or kind in (FileObject, Response)
