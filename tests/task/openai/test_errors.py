from __future__ import annotations

import pytest

from studiolo.errors import (
    AuthenticationError,
    BusyError,
    ContextOverflowError,
    DeadlineError,
    InvalidRequestError,
    MalformedFileError,
    MemoryLimitError,
    PermissionDeniedError,
    UnknownModelError,
)
from studiolo.task.openai.errors import body_of, status_of, told


def test_an_error_says_what_where_and_what_to_do() -> None:
    error = InvalidRequestError("top_p", "is odd", remedy="Do.")
    assert status_of(error) == 400
    assert body_of(error)["error"] == {
        "message": "top_p: is odd. Do.",
        "type": "invalid_request_error",
        "param": "top_p",
        "code": "InvalidRequestError",
    }


@pytest.mark.parametrize(
    ("error", "status", "kind", "param", "code"),
    [
        (UnknownModelError("x", []), 404, "invalid_request_error", "model", "model_not_found"),
        (
            ContextOverflowError(9, 9, 10),
            400, "invalid_request_error", "max_tokens", "context_length_exceeded",
        ),
        (MemoryLimitError("x"), 400, "invalid_request_error", None, "MemoryLimitError"),
        (MalformedFileError("x"), 500, "server_error", None, "MalformedFileError"),
        (AuthenticationError("x"), 401, "authentication_error", None, "AuthenticationError"),
        (PermissionDeniedError("x"), 403, "permission_error", None, "PermissionDeniedError"),
        (BusyError("x"), 429, "rate_limit_error", None, "BusyError"),
        (DeadlineError("x"), 408, "invalid_request_error", None, "DeadlineError"),
        (KeyError("x"), 500, "server_error", None, "KeyError"),
    ],
)  # fmt: skip
def test_it_says_whose_fault_it_is(
    error: Exception, status: int, kind: str, param: str | None, code: str
) -> None:
    assert status_of(error) == status
    written = body_of(error)["error"]
    assert (written["type"], written["param"], written["code"]) == (kind, param, code)


def test_a_fault_of_ours_tells_nothing_of_what_was_asked() -> None:
    assert told(KeyError("a secret")) == "something went wrong inside Studiolo (KeyError)"
