from __future__ import annotations

import logging
from typing import Any

import pytest

from studiolo.errors import (
    AuthenticationError,
    InvalidRequestError,
    PermissionDeniedError,
    RequestCancelledError,
)
from studiolo.record.grant import Key, Limits
from studiolo.server.context import MAX_USER, Caller, Context
from studiolo.task.asking import Outcome

CANARY = "my secret words"


def key(**changes: Any) -> Key:
    values: dict[str, Any] = {
        "id": "abc", "name": "n", "owner": "", "scopes": ("inference",), "models": ("tiny*",),
        "limits": Limits(), "created": 0.0,
    }  # fmt: skip
    return Key(**values | changes)


def test_a_caller_may_do_what_its_key_is_for() -> None:
    caller = Caller(key())
    assert caller.id == "abc"
    caller.require("inference")
    with pytest.raises(PermissionDeniedError, match="it lacks the scope 'batch'"):
        caller.require("batch")
    assert caller.may_use("tiny-encoder")
    assert not caller.may_use("other")
    Caller(key(scopes=("admin",))).require("batch")


def test_without_keys_anybody_may_do_everything() -> None:
    caller = Caller()
    assert caller.id == ""
    caller.require("admin")
    assert caller.may_use("any")


def test_a_stranger_may_do_nothing() -> None:
    caller = Caller(stranger=True)
    with pytest.raises(AuthenticationError, match="needs a key"):
        caller.require("inference")
    assert not caller.may_use("any")


def test_the_row_of_a_request() -> None:
    context = Context("POST /v1/x", "openai", caller=Caller(key()), model="tiny", status=200)
    context.user = "u" * 1000
    bare = context.entry()
    assert (bare.key, bare.prompt_tokens, bare.weights) == ("abc", 0, None)
    assert bare.user == "u" * MAX_USER
    context.outcome, context.finish = Outcome(5, 2, 3, 0.5, 1.0, "w"), "stop"
    row = context.entry()
    assert (row.id, row.endpoint, row.dialect) == (context.id, "POST /v1/x", "openai")
    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens) == (5, 2, 3)
    assert (row.seconds_to_first, row.weights, row.finish_reason) == (0.5, "w", "stop")
    assert row.seconds >= bare.seconds >= 0
    assert Context("x", "y").id != context.id


def test_a_fault_of_ours_is_logged_by_kind_and_place_and_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = Context("POST /v1/x", "openai")

    def broken() -> None:
        raise KeyError(CANARY)

    try:
        broken()
    except KeyError as error:
        context.failed(error)
    (record,) = caplog.records
    told = record.getMessage()
    assert (context.error, record.levelno) == ("KeyError", logging.ERROR)
    assert told.startswith(f"{context.id}: POST /v1/x failed: KeyError in ")
    assert told.endswith(" broken")
    assert "\n" not in told
    assert CANARY not in told
    assert record.exc_info is None


def test_what_a_client_does_wrong_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    context = Context("POST /v1/x", "openai")
    context.failed(InvalidRequestError("prompt", CANARY))
    assert caplog.records == []
    context.failed(RequestCancelledError(CANARY))
    assert [record.getMessage() for record in caplog.records] == [
        f"{context.id}: POST /v1/x failed: RequestCancelledError"
    ]
