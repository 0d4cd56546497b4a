from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import Response

from studiolo.server.app import DIALECTS
from studiolo.server.dialects import Dialect
from studiolo.server.schema import REFUSALS, described, several, shape, takes
from studiolo.task.openai.embeddings import EmbeddingBody
from tests.server.serving import Served


class Outer:
    class EmbeddingBody(BaseModel):
        """Another of the same name."""

        other: int


PLAIN = Dialect(
    "plain",
    ("/",),
    lambda error, request: {},
    lambda request: {},
    answers={"POST /one": shape({"a": "integer"})},
    error=shape({"why": "string"}),
    streams="text/odd",
)


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()

    @app.post("/one", openapi_extra=takes(EmbeddingBody))
    async def one(request: Request) -> Response:
        """Takes one."""
        return Response()

    @app.post("/two/{id}", openapi_extra=takes(Outer.EmbeddingBody))
    async def two(request: Request, id: str) -> Response:
        """Takes another."""
        return Response()

    @app.get("/three")
    async def three() -> Response:
        """Takes nothing."""
        return Response()

    return app


def test_bodies_are_described_by_what_reads_them(app: FastAPI) -> None:
    document = described(app, [PLAIN])
    json.dumps(document)
    assert described(app, [PLAIN]) is document  # made once

    def body(path: str) -> Any:
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        name = content["schema"]["$ref"].rsplit("/", 1)[1]
        return document["components"]["schemas"][name]

    assert "input" in body("/one")["properties"]
    assert set(body("/two/{id}")["properties"]) == {"other"}
    assert "requestBody" not in document["paths"]["/three"]["get"]


def test_answers_are_described_by_their_dialect(app: FastAPI) -> None:
    paths = described(app, [PLAIN])["paths"]
    answers = paths["/one"]["post"]["responses"]
    well = answers["200"]["content"]
    assert well["application/json"]["schema"]["required"] == ["a"]
    assert "text/odd" in well
    assert "text/odd" not in paths["/three"]["get"]["responses"]["200"]["content"]
    assert set(answers) == {"200", *REFUSALS}
    wrong = answers["400"]["content"]["application/json"]["schema"]
    assert wrong["required"] == ["why"]


def test_an_object_has_what_it_must() -> None:
    made = shape({"a": "integer", "b": ["string", "null"]}, {"c": several({"type": "number"})})
    jsonschema.validate({"a": 1, "b": None}, made)
    jsonschema.validate({"a": 1, "b": "x", "c": [1.5], "else": 0}, made)
    wrongs: list[Any] = [{"a": 1}, {"a": "1", "b": None}, {"a": 1, "b": None, "c": ["x"]}, []]
    for wrong in wrongs:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, made)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for path, each in document["paths"].items():
        for method, operation in each.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_of_all_addresses_can_be_read(served: Served) -> None:
    answer = served.http().get("/openapi.json")
    assert answer.status_code == 200
    document = answer.json()
    found = dict(operations(document))
    assert "POST /v1/chat/completions" in found
    for name, operation in found.items():
        assert "422" not in operation["responses"], name
        assert not [key for key in operation if key.startswith("x-")], name
        for status in REFUSALS:
            content = operation["responses"][status]["content"]
            assert content["application/json"]["schema"], (name, status)
    # Every reference leads somewhere.
    for reference in set(references(document)):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref":
                yield each
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_what_a_dialect_says_of_an_address_is_of_one_that_is_there(served: Served) -> None:
    found = dict(operations(served.http().get("/openapi.json").json()))
    for dialect in DIALECTS:
        assert set(dialect.answers) <= set(found), dialect.name
