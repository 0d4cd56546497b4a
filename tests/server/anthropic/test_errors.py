"""Errors in Anthropic's shape become the exceptions of its client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import pytest

from studiolo.errors import BusyError, DeadlineError, NoSpaceError, UnknownModelError
from studiolo.record.grant import Limits
from studiolo.server.anthropic.errors import body_of, status_of
from studiolo.server.limits import LimitError
from tests.server.anthropic.asking import SAID, seeded
from tests.server.serving import Served, serving


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (BusyError("full"), 529, "overloaded_error"),
        (LimitError("often"), 429, "rate_limit_error"),
        (DeadlineError("late"), 504, "timeout_error"),
        (UnknownModelError("x", []), 404, "not_found_error"),
        (NoSpaceError("full"), 500, "api_error"),
        (ValueError("secret"), 500, "api_error"),
    ],
)
def test_statuses_and_kinds(error: Exception, status: int, kind: str) -> None:
    assert status_of(error) == status
    told = body_of(error, "req_1")
    assert (told["type"], told["error"]["type"], told["request_id"]) == ("error", kind, "req_1")
    assert "secret" not in told["error"]["message"]


def test_errors_become_the_clients_own(client: anthropic.Anthropic, served: Served) -> None:
    with pytest.raises(anthropic.NotFoundError, match="no model is called 'nobody'") as missing:
        client.messages.create(**{**seeded(1), "model": "nobody"})
    assert missing.value.type == "not_found_error"
    row = served.entry(missing.value.request_id)
    assert (row.dialect, row.model, row.status) == ("anthropic", "nobody", 404)
    with pytest.raises(anthropic.BadRequestError, match=r"10,0.*4,096") as long:
        client.messages.create(**{**seeded(1), "max_tokens": 10_000})
    assert long.value.body["request_id"] == long.value.request_id  # type: ignore[index]
    with pytest.raises(anthropic.BadRequestError, match="makes vectors, not texts"):
        client.messages.create(**{**seeded(1), "model": "tiny-encoder"})
    with pytest.raises(anthropic.BadRequestError, match="makes vectors, not texts"):
        client.messages.count_tokens(model="tiny-encoder", messages=SAID)
    with pytest.raises(anthropic.NotFoundError, match="no model is called"):
        client.messages.create(**{**seeded(1), "model": "nobody"}, stream=True)
    assert served.http().get("/v1/messages").json()["error"]["type"] == "invalid_request_error"


def test_a_late_answer_is_told_of_also_in_a_stream(tmp_path: Path) -> None:
    options = {**seeded(1), "max_tokens": 2000}
    with (
        serving(tmp_path / "records.db", timeout=1e-6) as served,
        anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0) as client,
    ):
        with pytest.raises(anthropic.GatewayTimeoutError) as late:
            client.messages.create(**options)
        assert late.value.type == "timeout_error"
        with pytest.raises(anthropic.APIStatusError) as told:
            list(client.messages.create(**options, stream=True))
        assert told.value.type == "timeout_error"


def test_a_server_with_too_much_to_do_says_so(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "records.db", requests=0) as served,
        anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0) as client,
    ):
        with pytest.raises(anthropic.OverloadedError) as busy:
            client.messages.create(**seeded(1))
        assert (busy.value.status_code, busy.value.type) == (529, "overloaded_error")
        assert int(busy.value.response.headers["retry-after"]) > 0


def test_keys_limits_and_sizes(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db", max_body=2000) as served:
        keys = served.studio.records.keys
        often = Limits(requests_per_minute=1)
        mine = keys.create(name="one", scopes=("inference",), models=("tiny",), limits=often)
        reader = keys.create(name="two", scopes=("models:read",))

        def ask(key: str, **more: Any) -> Any:
            with anthropic.Anthropic(base_url=served.url, api_key=key, max_retries=0) as client:
                return client.messages.create(**{**seeded(1), **more})

        with pytest.raises(anthropic.AuthenticationError) as nobody:
            ask("wrong")
        assert nobody.value.type == "authentication_error"
        with pytest.raises(anthropic.PermissionDeniedError) as denied:
            ask(reader.secret)
        assert denied.value.type == "permission_error"
        with pytest.raises(anthropic.PermissionDeniedError):
            ask(mine.secret, model="tiny-encoder")
        ask(mine.secret)
        with pytest.raises(anthropic.RateLimitError) as limited:
            ask(mine.secret)
        assert limited.value.type == "rate_limit_error"
        assert int(limited.value.response.headers["retry-after"]) > 0
        with pytest.raises(anthropic.ContentTooLargeError) as large:
            ask(mine.secret, system="x" * 3000)
        assert large.value.body["error"]["type"] == "request_too_large"  # type: ignore[index]
