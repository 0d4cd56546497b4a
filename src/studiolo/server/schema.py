"""How an address is described in the OpenAPI document, and what it may answer.

Bodies are read by hand, so that errors are told in the shape of their dialect; they are described
by the pydantic model that reads them. What is answered is written by hand too: a dialect says of
its addresses what shape their answers have, and of what shape its errors are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from operator import attrgetter
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from studiolo.server.dialects import Dialect, dialect_of

REFUSALS = (
    *("400", "401", "403", "404", "405", "408", "409", "413", "424", "429"),
    *("500", "502", "503", "504", "529"),
)
PLACE = "x-body-of"
REFERENCE = "#/components/schemas/{model}"
JSON = "application/json"
Shape = Mapping[str, Any]


def takes(kind: type[BaseModel]) -> dict[str, Any]:
    """What a route says of itself (``openapi_extra``) that takes a ``kind`` in JSON.

    ``kind`` must stand in a module, and not in a function: it is found again by its name.
    """
    return {PLACE: f"{kind.__module__}:{kind.__qualname__}"}


def shape(needed: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON schema of an object with these fields; each is a schema, or the name of a type."""
    fields = {**needed, **(more or {})}
    return {
        "type": "object",
        "required": sorted(needed),
        "properties": {
            name: {"type": each} if isinstance(each, str | list) else each
            for name, each in fields.items()
        },
    }


def several(each: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of a list."""
    return {"type": "array", "items": each}


def described(app: FastAPI, dialects: Sequence[Dialect]) -> dict[str, Any]:
    """The OpenAPI document of ``app``."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        operations = [
            (path, method, operation)
            for path, each in document["paths"].items()
            for method, operation in each.items()
        ]
        components = document.setdefault("components", {}).setdefault("schemas", {})
        bodies = _bodies({each[2][PLACE] for each in operations if PLACE in each[2]}, components)
        for path, method, operation in operations:
            if (place := operation.pop(PLACE, None)) is not None:
                operation["requestBody"] = _content(bodies[place]) | {"required": True}
            _answers(operation, path, method, dialect_of(path, dialects))
        app.openapi_schema = document
    return app.openapi_schema


def _bodies(places: set[str], components: dict[str, Any]) -> dict[str, Shape]:
    """The schema of each body; two of one name in two modules are told apart."""
    kinds: dict[str, type[BaseModel]] = {}
    for place in sorted(places):
        module, _, name = place.partition(":")
        kinds[place] = attrgetter(name)(import_module(module))
    found, defined = models_json_schema(
        [(kind, "validation") for kind in kinds.values()], ref_template=REFERENCE
    )
    components.update(defined.get("$defs", {}))
    return {place: found[kind, "validation"] for place, kind in kinds.items()}


def _answers(operation: dict[str, Any], path: str, method: str, dialect: Dialect) -> None:
    """Say what is answered: well, perhaps as a stream, or not well."""
    answers = operation["responses"]
    answers.pop("422", None)  # FastAPI's own, which is never sent
    well = answers.get("200", {})
    if JSON in well.get("content", {}):
        known = dialect.answers.get(f"{method.upper()} {path}")
        well["content"][JSON]["schema"] = known or well["content"][JSON].get("schema", {})
        if method == "post":
            well["content"].setdefault(dialect.streams, {})
    refusal = {"description": "Refused, and why", **_content(dialect.error or {})}
    for status in REFUSALS:
        answers.setdefault(status, refusal)


def _content(schema: Shape) -> dict[str, Any]:
    return {"content": {JSON: {"schema": schema}}}
