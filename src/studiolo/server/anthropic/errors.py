"""Errors as the Anthropic API tells them.

It has statuses of its own: 529 for a server with too much to do (429 is for a key that has used up
what is its own), and 504 for a request whose time ran out.
"""

from __future__ import annotations

from typing import Any

from studiolo.errors import BusyError, DeadlineError
from studiolo.server.dialects import Dialect
from studiolo.server.limits import LimitError
from studiolo.server.replies import Json
from studiolo.task.openai.errors import status_of as plain_status_of
from studiolo.task.openai.errors import told

KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
THREAD = "thread"
"""The field whose refusal has a code: a client that reads it sends all messages itself."""


class Anthropic(Dialect):
    """The dialect."""

    def refusal(self, error: Exception, request: str) -> Json:
        """The answer that tells of ``error``."""
        reply = super().refusal(error, request)
        reply.status_code = status_of(error)
        return reply


def status_of(error: Exception) -> int:
    """The HTTP status of ``error``."""
    if isinstance(error, BusyError) and not isinstance(error, LimitError):
        return 529
    if isinstance(error, DeadlineError):
        return 504
    return plain_status_of(error)


def body_of(error: Exception, request: str) -> dict[str, Any]:
    """The body that tells of ``error``, and the data of the event ``error`` in a stream."""
    status = status_of(error)
    kind = KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
    inner: dict[str, Any] = {"type": kind, "message": told(error)}
    if getattr(error, "field", None) == THREAD:
        inner["details"] = {"error_code": "thread_unsupported_request"}
    return {"type": "error", "error": inner, "request_id": request}
