"""Which dialect an address belongs to, and how each tells of an error.

An error is told in the shape that the clients of its dialect read, whoever found it: a route, the
reception before it, or the framework that knows no such address.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studiolo.errors import AuthenticationError, BusyError, StudioloError
from studiolo.server.replies import Json
from studiolo.task.openai.errors import status_of


class MethodError(StudioloError):
    """The address is there, and is asked by another method. ``allowed``: those by which it is."""

    status = 405

    def __init__(self, address: str, allowed: str) -> None:
        self.allowed = allowed
        super().__init__(f"{address}: this address is asked by {allowed}")


@dataclass(frozen=True)
class Dialect:
    """How one family of clients is spoken to.

    ``prefixes``: of its addresses; ``shared``: of those that are its own for requests with the
    header ``sign``, and otherwise another's. ``body``: of an error, given the request's id.
    ``headers``: of every answer, given the request's id. ``error_headers``: of an error, beside
    those.

    What is known of its answers stands in the OpenAPI document: ``answers``, JSON schemas by method
    and address (``GET /v1/models``); ``error``, that of an error; ``streams``, the type of streams.
    """

    name: str
    prefixes: tuple[str, ...]
    body: Callable[[Exception, str], dict[str, Any]]
    headers: Callable[[str], Mapping[str, str]]
    error_headers: Callable[[Exception], Mapping[str, str]] = lambda error: {}
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    streams: str = "text/event-stream"
    shared: tuple[str, ...] = ()
    sign: str = ""

    def refusal(self, error: Exception, request: str) -> Json:
        """The answer that tells of ``error``."""
        headers = dict(self.error_headers(error))
        if isinstance(error, BusyError):
            headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        elif isinstance(error, MethodError):
            headers["allow"] = error.allowed
        elif isinstance(error, AuthenticationError):
            headers["www-authenticate"] = "Bearer"
        return Json(self.body(error, request), status_of(error), headers)


def dialect_of(path: str, dialects: Sequence[Dialect], headers: Container[str] = ()) -> Dialect:
    """That with the longest prefix of ``path``; one of ``dialects`` has the prefix ``/``.

    ``headers``: names of those that the request has, by which a shared address is told apart. What
    is no path (``OPTIONS *``, say) belongs to the one of ``/``.
    """
    path = path if path.startswith("/") else "/"
    fitting = [
        (len(prefix), i)
        for i, dialect in enumerate(dialects)
        for prefix in dialect.prefixes + (dialect.shared if dialect.sign in headers else ())
        if path.startswith(prefix)
    ]
    return dialects[max(fitting)[1]]
