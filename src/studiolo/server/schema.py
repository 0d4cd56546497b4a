"""How an address is described in the OpenAPI document, and what it may answer.

Bodies are read by hand, so that errors are told in the shape of their dialect; they are described
by the pydantic model that reads them.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

REFUSALS = ("400", "401", "403", "404", "408", "409", "413", "429", "500", "502", "503")
PLACE = "x-body-of"


def takes(kind: type[BaseModel]) -> dict[str, Any]:
    """What a route says of itself (``openapi_extra``) that takes a ``kind`` in JSON."""
    return {PLACE: kind}


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of ``app``."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = document.setdefault("components", {}).setdefault("schemas", {})
        for path in document["paths"].values():
            for operation in path.values():
                _complete(operation, components)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any], components: dict[str, Any]) -> None:
    kind = operation.pop(PLACE, None)
    operation["responses"].pop("422", None)  # FastAPI's own, which is never sent
    for status in REFUSALS:
        operation["responses"].setdefault(status, {"description": "Refused, and why"})
    if kind is not None:
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        components.update(schema.pop("$defs", {}))
        components[kind.__name__] = schema
        reference = {"$ref": f"#/components/schemas/{kind.__name__}"}
        operation["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": reference}},
        }  # fmt: skip
