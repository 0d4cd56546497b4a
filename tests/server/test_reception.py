from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from studiolo.errors import PermissionDeniedError
from studiolo.server.app import DIALECTS
from studiolo.server.reception import ALWAYS, Reception
from studiolo.server.studio import Studio
from tests.server.serving import Served, serving

LOCAL: dict[str, Any] = {
    "type": "http", "method": "GET", "path": "/v1/models", "scheme": "http",
    "client": ("127.0.0.1", 9), "headers": [(b"host", b"localhost")], "query_string": b"",
}  # fmt: skip


async def nothing() -> Any:
    await asyncio.Event().wait()


def asked(studio: Studio, app: Any, scope: dict[str, Any]) -> list[Any]:
    """What is sent for a request whose answer ``app`` gives."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Reception(app, studio, DIALECTS)(scope, nothing, send))
    return sent


async def fine(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": [(b"x", b"y")]})
    await send({"type": "http.response.body", "body": b""})


def test_every_answer_has_an_id_and_is_noted_under_it(served: Served) -> None:
    http, ids = served.http(), set()
    for path, status in (("/v1/models", 200), ("/v1/models/none", 404), ("/nowhere", 404)):
        answer = http.get(path)
        assert answer.status_code == status
        entry = served.entry(answer.headers["x-request-id"])
        assert (entry.status, entry.dialect) == (status, "openai")
        assert (entry.error is None) == (status < 400)
        ids.add(entry.id)
    assert len(ids) == 3


def test_a_row_names_the_address_and_not_what_is_in_it(served: Served) -> None:
    http = served.http()
    one = http.get("/v1/models/tiny").headers["x-request-id"]
    assert served.entry(one).endpoint == "GET /v1/models/{model:path}"
    odd = http.get("/no%0Awhere%1b[31m/" + "x" * 500).headers["x-request-id"]
    endpoint = served.entry(odd).endpoint
    assert endpoint.startswith("GET /no\N{REPLACEMENT CHARACTER}where")
    assert endpoint.isprintable()
    assert len(endpoint) < 220


def test_every_answer_says_that_it_is_nobody_elses(served: Served) -> None:
    http = served.http()
    for path in ("/live", "/v1/models", "/nowhere", "/openapi.json", "/metrics"):
        answer = http.get(path)
        assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS
    assert http.get("/").headers["cache-control"] == "no-cache"  # which says otherwise


def test_who_watches_over_the_server_is_not_noted(served: Served) -> None:
    paths = ("/live", "/ready", "/health")
    for path in paths:
        assert served.http().get(path).status_code == 200
    served.entry(served.http().get("/v1/models").headers["x-request-id"])  # which came after them
    assert not {f"GET {path}" for path in paths} & {each.endpoint for each in served.entries()}


def test_a_socket_of_the_web_is_closed_before_anybody_answers(served: Served) -> None:
    async def app(*_: object) -> None:
        pytest.fail("nobody was asked for a key")

    sent = asked(served.studio, app, {"type": "websocket", "path": "/v1/models"})
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_servers_own_events_pass(served: Served) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asked(served.studio, app, {"type": "lifespan"})
    assert seen == ["lifespan"]


def test_what_fails_before_the_answer_is_told_and_after_it_is_not(served: Served) -> None:
    async def before(scope: Any, receive: Any, send: Any) -> None:
        raise PermissionDeniedError("not you")

    async def after(scope: Any, receive: Any, send: Any) -> None:
        await fine(scope, receive, send)
        raise KeyError("x")

    sent = asked(served.studio, before, dict(LOCAL))
    assert [each.get("status") for each in sent] == [403, None]
    sent = asked(served.studio, after, dict(LOCAL))
    assert [each.get("status") for each in sent] == [204, None]
    rows = served.entries()[:2]
    assert {(row.status, row.error) for row in rows} == {
        (403, "PermissionDeniedError"),
        (204, "KeyError"),
    }


def test_a_request_that_the_server_ends_is_noted_and_gives_its_place_back(served: Served) -> None:
    async def app(*_: object) -> None:
        await asyncio.Event().wait()

    async def ended() -> None:
        reception = Reception(app, served.studio, DIALECTS)
        task = asyncio.create_task(reception(dict(LOCAL), nothing, nothing))  # type: ignore[arg-type]
        while served.studio.room.count == 0:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ended())
    assert served.studio.room.count == 0
    assert served.entries()[0].error == "CancelledError"


def test_once_there_is_a_key_one_must_be_shown(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as served:
        http = served.http()
        assert http.get("/v1/models").status_code == 200
        assert http.get("/v1/models", headers={"x-api-key": "whatever"}).status_code == 200
        made = served.studio.records.keys.create(name="n")
        for headers in (
            {"authorization": f"Bearer {made.secret}"},
            {"authorization": f"bearer  {made.secret}"},
            {"x-api-key": made.secret},
        ):
            answer = http.get("/v1/models", headers=headers)
            assert answer.status_code == 200
            assert served.entry(answer.headers["x-request-id"]).key == made.key.id
        answer = http.get("/v1/models")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "studiolo keys create" in answer.json()["error"]["message"]
        entry = served.entry(answer.headers["x-request-id"])
        assert (entry.status, entry.key, entry.error) == (401, None, "AuthenticationError")
        # The page and the health of the server are everybody's.
        for path in ("/", "/live", "/ready"):
            assert http.get(path).status_code == 200
        served.studio.records.keys.revoke(made.key.id)
        assert http.get("/v1/models").status_code == 200
