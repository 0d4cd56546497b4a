from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from studiolo.errors import AuthenticationError, BusyError, InvalidRequestError
from studiolo.server.app import DIALECTS
from studiolo.server.dialects import Dialect, MethodError, dialect_of


def made(name: str, *prefixes: str) -> Dialect:
    def body(error: Exception, request: str) -> dict[str, Any]:
        return {"said": str(error), "by": name, "id": request}

    return Dialect(name, prefixes, body, lambda request: {"x-id": request})


PLAIN, DEEP = made("plain", "/"), made("deep", "/api/", "/v1/messages")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "plain"),
        ("/v1/chat/completions", "plain"),
        ("/api", "plain"),
        ("/api/chat", "deep"),
        ("/v1/messages", "deep"),
        ("/v1/messages/count_tokens", "deep"),
        ("", "plain"),
        ("*", "plain"),
        ("http://other/api/chat", "plain"),
    ],
)
def test_an_address_belongs_to_the_longest_prefix(path: str, name: str) -> None:
    for dialects in ((PLAIN, DEEP), (DEEP, PLAIN)):
        assert dialect_of(path, dialects).name == name


def test_a_shared_address_belongs_to_whose_sign_it_has() -> None:
    sharing = replace(DEEP, shared=("/v1/models",), sign="deep-version")
    for dialects in ((PLAIN, sharing), (sharing, PLAIN)):
        for path in ("/v1/models", "/v1/models/x"):
            assert dialect_of(path, dialects).name == "plain"
            assert dialect_of(path, dialects, {"other"}).name == "plain"
            assert dialect_of(path, dialects, {"deep-version"}).name == "deep"
        assert dialect_of("/v1/files", dialects, {"deep-version"}).name == "plain"
    assert dialect_of("/x", (PLAIN, DEEP), {""}).name == "plain"


def test_ours_leave_no_address_out() -> None:
    for path in ("/", "/v1/models", "/nowhere", "/model/x/converse", "*"):
        assert dialect_of(path, DIALECTS).name


def test_an_error_is_told_with_the_requests_id() -> None:
    told = PLAIN.refusal(InvalidRequestError("n", "is wrong"), "req_1")
    assert told.status_code == 400
    assert json.loads(bytes(told.body)) == {"said": "n: is wrong", "by": "plain", "id": "req_1"}
    assert PLAIN.refusal(KeyError("x"), "req_1").status_code == 500


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (BusyError("x", retry_after=0.2), "retry-after", "1"),
        (BusyError("x", retry_after=7.1), "retry-after", "8"),
        (AuthenticationError("x"), "www-authenticate", "Bearer"),
        (MethodError("PUT /x", "GET"), "allow", "GET"),
    ],
)
def test_what_else_a_client_must_know_is_in_headers(
    error: Exception, header: str, value: str
) -> None:
    assert PLAIN.refusal(error, "req_1").headers[header] == value


def test_a_dialect_adds_headers_of_its_own_to_errors() -> None:
    odd = Dialect(
        "odd", ("/",), PLAIN.body, PLAIN.headers, lambda error: {"x-kind": type(error).__name__}
    )
    assert odd.refusal(KeyError("x"), "1").headers["x-kind"] == "KeyError"
