"""What the document says of Ollama's answers, held against answers and the client's types."""

from __future__ import annotations

from typing import Any

import jsonschema
import ollama
import pytest
from pydantic import BaseModel

from studiolo.server.ollama import shapes
from tests.server.serving import Served

SAID = [{"role": "user", "content": "a"}]
SHORT = {"stream": False, "logprobs": True, "options": {"num_predict": 2}}
ASKED: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/api/generate", {"prompt": "a", **SHORT}),
    ("POST", "/api/generate", {}),
    ("POST", "/api/chat", {"messages": SAID, **SHORT}),
    ("POST", "/api/embed", {"model": "tiny-encoder", "input": ["a", "b"]}),
    ("POST", "/api/embeddings", {"model": "tiny-encoder", "prompt": "a"}),
    ("POST", "/api/show", {}),
    ("POST", "/api/show", {"model": "tiny-encoder"}),
    ("POST", "/api/pull", {"stream": False}),
    ("GET", "/api/tags", None),
    ("GET", "/api/ps", None),
    ("GET", "/api/version", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKED, ids=lambda value: str(value)[:30])
def test_answers_have_their_shape(
    served: Served, method: str, path: str, body: dict[str, Any] | None
) -> None:
    asked = None if body is None else {"model": "tiny", **body}
    answer = served.http().request(method, path, json=asked)
    assert answer.status_code == 200, answer.text
    jsonschema.validate(answer.json(), shapes.ANSWERS[f"{method} {path}"])


def test_errors_have_theirs(served: Served) -> None:
    for path in ("/api/generate", "/api/chat", "/api/nowhere", "/api/create"):
        answer = served.http().post(path, json={"x": 1})
        assert answer.status_code >= 400
        jsonschema.validate(answer.json(), shapes.ERROR)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (shapes.GENERATED, ollama.GenerateResponse),
        (shapes.CHATTED, ollama.ChatResponse),
        (shapes.EMBEDDED, ollama.EmbedResponse),
        (shapes.PROGRESS, ollama.ProgressResponse),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_shape_names_fields_that_the_client_knows(
    shape: dict[str, Any], kind: type[BaseModel]
) -> None:
    assert set(shape["properties"]) <= set(kind.model_fields)
    needed = {name for name, field in kind.model_fields.items() if field.is_required()}
    assert needed <= set(shape["required"])
