"""A server with keys, and all the addresses that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from studiolo.record.grant import Scope
from studiolo.record.keys import NewKey
from studiolo.server.reception import PUBLIC
from tests.server.serving import Served

CANARY = "the-canary-sings-at-midnight"
OPEN = {*PUBLIC, "/", "/studio/{name:path}"}
"""What is everybody's."""
ANY_KEY = {"/openapi.json", "/api/version", "/studiolo/v1/usage", "/studiolo/v1/requests"}
"""What needs a key, whatever it is for: of usage and requests it shows the key's own."""


@dataclass(frozen=True)
class Address:
    """``hidden``: from the OpenAPI document, as those are where there is nothing."""

    method: str
    path: str
    hidden: bool

    def asked(self, value: str) -> str:
        """With ``value`` for whatever it takes."""
        return re.sub(r"\{\w+(:path)?\}", lambda _: value, self.path)


def addresses(routes: Any) -> Iterator[Address]:
    """Found in the application, so that one that is added is tried too."""
    for route in routes:
        if (path := getattr(route, "path", None)) is not None:
            for method in sorted(route.methods - {"HEAD"}):
                yield Address(method, path, not route.include_in_schema)
        else:
            yield from addresses(route.original_router.routes)


@dataclass
class Guarded:
    """A server with keys, of two tenants and others."""

    served: Served
    records: Path
    full: NewKey
    other: NewKey
    narrow: NewKey
    by_scope: dict[Scope, NewKey]

    def ask(self, method: str, path: str, key: str | None, **options: Any) -> httpx.Response:
        """As the owner of ``key``."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return self.served.http().request(
            method, path, headers={**headers, **options.pop("headers", {})}, **options
        )
