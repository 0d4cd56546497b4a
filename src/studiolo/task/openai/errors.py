"""Errors as the OpenAI API tells them."""

from __future__ import annotations

from typing import Any

from studiolo.errors import ContextOverflowError, StudioloError, UnknownModelError

KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def status_of(error: Exception) -> int:
    """The HTTP status of ``error``: 4xx where the request is at fault, else 5xx."""
    return error.status if isinstance(error, StudioloError) else 500


def told(error: Exception) -> str:
    """What is wrong and what to do, in one line. Of a fault of ours, no more than its kind."""
    if not isinstance(error, StudioloError):
        return f"something went wrong inside Studiolo ({type(error).__name__})"
    return error.message if error.remedy is None else f"{error.message}. {error.remedy}"


def body_of(error: Exception) -> dict[str, Any]:
    """The body that tells of ``error``."""
    status = status_of(error)
    kind = KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    field, code = getattr(error, "field", None), type(error).__name__
    message = told(error)
    if isinstance(error, UnknownModelError):
        kind, field, code = "invalid_request_error", "model", "model_not_found"
    elif isinstance(error, ContextOverflowError):
        code = "context_length_exceeded"
        # Words by which programs know OpenAI's own, and shorten what they ask.
        message += f" This model's maximum context length is {error.limit} tokens."
    return {"error": {"message": message, "type": kind, "param": field, "code": code}}
