from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import Query
from starlette.testclient import TestClient

from studiolo.record.records import Records
from studiolo.server.app import DIALECTS, build
from studiolo.server.dialects import dialect_of
from studiolo.server.settings import Settings
from studiolo.server.studio import Studio
from studiolo.task.house import House
from tests.server.serving import Served, serving


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "ODD"])
def test_an_address_that_is_not_there_is_told_in_its_dialect(served: Served, method: str) -> None:
    for dialect in DIALECTS:
        path = max(dialect.prefixes, key=len).rstrip("/") + "/nowhere/at/all"
        answer = served.http().request(method, path)
        assert answer.status_code == 404, path
        if method != "HEAD":
            assert "there is no such address here" in answer.text
            assert answer.headers["content-type"] == "application/json"


def test_another_method_is_named(served: Served) -> None:
    answer = served.http().put("/v1/chat/completions", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    error = answer.json()["error"]
    assert error["message"] == "PUT /v1/chat/completions: this address is asked by POST"
    assert error["type"] == "invalid_request_error"
    assert served.entry(answer.headers["x-request-id"]).error == "MethodError"


def test_a_slash_too_many_leads_nowhere_and_not_elsewhere(served: Served) -> None:
    answer = served.http().post("/v1/chat/completions/", json={})
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_what_the_framework_refuses_is_told_in_the_dialect_too(tmp_path: Path) -> None:
    house = House(device="cpu", model_memory=1, request_memory=1)
    studio = Studio.of(
        Settings(model="a", encoder="b"), house, Records.open(str(tmp_path / "records.db"))
    )
    app = build(studio)

    @app.get("/v1/numbers")
    async def numbers(count: int = Query(ge=1)) -> None:
        """Read by the framework."""

    client = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))
    answer = client.get("/v1/numbers?count=x")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "count"
    studio.close()


def test_a_fault_of_ours_is_told_in_every_dialect_without_its_words(
    tiny_home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path / "records.db") as served:

        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("my secret words".upper())

        served.studio.house.tell = broken  # type: ignore[method-assign,assignment]
        said = {"role": "user", "content": "a"}
        asked = {
            "/v1/chat/completions": {"messages": [said]},
            "/v1/messages": {"model": "tiny", "max_tokens": 2, "messages": [said]},
            "/api/chat": {"model": "tiny", "messages": [said], "stream": False},
            "/model/tiny/converse": {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
        }
        for path, body in asked.items():
            caplog.clear()
            answer = served.http().post(path, json=body)
            assert answer.status_code == 500, path
            assert "ZeroDivisionError" in answer.text
            assert "SECRET" not in answer.text
            assert "Traceback" not in answer.text
            id = next(value for value in answer.headers.values() if value.startswith("req_"))
            (record,) = [each for each in caplog.records if each.name == "studiolo.server"]
            assert id in record.getMessage()
            assert "SECRET" not in caplog.text
            entry = served.entry(id)
            assert (entry.status, entry.error) == (500, "ZeroDivisionError")
            assert entry.dialect == dialect_of(path, DIALECTS).name
