"""What goes wrong elsewhere, sorted, and told without secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    StudioloError,
    TooLargeError,
    UpstreamError,
)
from studiolo.task.remote.failure import (
    Cleaner,
    FailedError,
    of_status,
    of_trouble,
    retry_after,
)
from studiolo.task.remote.wire import TroubleError

WHO = Cleaner("gpt", "https://api.example.com:8443/v1", "sk-secret")


def status(code: int, body: object = b"", **headers: str) -> FailedError | StudioloError:
    spelled = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return of_status(code, names, spelled, WHO)


@pytest.mark.parametrize(
    ("code", "kind", "again", "ill"),
    [
        (204, UpstreamError, False, True),
        (302, UpstreamError, False, True),
        (401, UpstreamError, False, True),
        (403, UpstreamError, False, True),
        (404, UpstreamError, False, True),
        (408, UpstreamError, True, True),
        (409, UpstreamError, True, True),
        (429, BusyError, True, False),
        (500, UpstreamError, True, True),
        (503, UpstreamError, True, True),
        (529, UpstreamError, True, True),
    ],
)
def test_failures_by_status(code: int, kind: type[StudioloError], again: bool, ill: bool) -> None:
    failure = status(code, b"the database at 10.0.0.3 is down; key sk-secret")
    assert isinstance(failure, FailedError)
    assert isinstance(failure.error, kind)
    assert (failure.again, failure.ill) == (again, ill)
    shown = str(failure.error)
    assert shown.startswith("gpt, elsewhere,")
    assert not any(secret in shown for secret in ("sk-secret", "example.com", "10.0.0.3"))


def test_the_request_s_own_faults_are_passed_on() -> None:
    body = {"error": {"message": "temperature: must be 2 at most", "param": "temperature"}}
    error = status(400, body)
    assert isinstance(error, InvalidRequestError)
    assert (error.field, error.message) == ("temperature", "temperature: must be 2 at most")
    assert isinstance(status(413, {"error": "too large"}), TooLargeError)
    for shape in (
        {"error": "no such thing"},
        {"error": {"type": "invalid_request_error", "message": "no such thing"}},
        {"object": "error", "message": "no such thing", "code": 400},
        {"detail": "no such thing"},
    ):
        error = status(422, shape)
        assert isinstance(error, InvalidRequestError)
        assert error.message == "request: no such thing"
    for nothing in (b"<html>", b"", b"[1]", {"error": 3}, b"[" * 9999):
        error = status(400, nothing)
        assert isinstance(error, InvalidRequestError)
        assert error.message == "request: gpt, elsewhere, refused the request (400)"


@given(st.text(), st.text(), st.sampled_from(["sk-secret", "api.example.com", WHO.url]))
def test_no_message_carries_a_secret(before: str, after: str, secret: str) -> None:
    error = status(400, {"error": {"message": f"{before}{secret}{after}", "param": secret}})
    assert isinstance(error, InvalidRequestError)
    assert secret not in error.message
    assert error.message.isprintable()
    assert len(error.message) < 800


def test_fields_are_names() -> None:
    for param in ("", "x" * 999, "a\nb", 7, "see https://api.example.com:8443/v1 with sk-secret"):
        error = status(400, {"error": {"message": "m", "param": param}})
        assert isinstance(error, InvalidRequestError)
        assert error.field == "request"


def test_errors_in_a_stream() -> None:
    error = of_trouble(TroubleError("invalid_request_error", "bad sk-secret"), WHO)
    assert isinstance(error, InvalidRequestError)
    assert error.message == "request: bad ***"
    busy = of_trouble(TroubleError("rate_limit_error", ""), WHO)
    assert isinstance(busy, FailedError)
    assert isinstance(busy.error, BusyError)
    other = of_trouble(TroubleError("overloaded_error", "sk-secret"), WHO)
    assert isinstance(other, FailedError)
    assert other.error.message == "gpt, elsewhere, failed in its answer (overloaded_error)"
    assert other.again


def test_when_to_come_back() -> None:
    assert retry_after({}) is None
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after": "7", "retry-after-ms": "1500"}) == 1.5
    later = datetime.now(UTC) + timedelta(seconds=100)
    assert 90 < (retry_after({"retry-after": format_datetime(later, usegmt=True)}) or 0) <= 100
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    for nonsense in ("soon", "-3", "1e9", "٣", "nan", "", "Wed, 99 Oct"):
        assert retry_after({"retry-after": nonsense}) is None
    busy = status(429, retry_after="7")
    assert isinstance(busy, FailedError)
    assert isinstance(busy.error, BusyError)
    assert (busy.after, busy.error.retry_after) == (7, 7)
    unsaid = status(429)
    assert isinstance(unsaid, FailedError)
    assert isinstance(unsaid.error, BusyError)
    assert (unsaid.after, unsaid.error.retry_after) == (None, 5)
