from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from tests.server.serving import Served, eventually, serving


def test_a_server_that_can_answer_is_ready(served: Served) -> None:
    http = served.http()
    assert http.get("/live").json() == {"status": "live"}
    for path in ("/ready", "/health"):
        answer = http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "wrong": []})


def test_a_server_whose_engine_has_died_is_not(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as served:
        http, engine = served.http(), served.studio.house.engine

        def broken() -> bool:
            raise MemoryError("of the loop itself")

        engine.loop.turn = broken  # type: ignore[method-assign]
        engine._news.set()
        eventually(lambda: engine.closed)
        answer = http.get("/ready")
        assert answer.status_code == 503
        assert answer.json() == {"status": "not ready", "wrong": ["the engine has stopped"]}
        assert http.get("/live").status_code == 200
        asked = http.post("/v1/completions", json={"prompt": "a", "max_tokens": 2})
        assert asked.status_code == 503
        assert "engine" in asked.json()["error"]["message"]


def test_a_server_that_cannot_write_its_records_is_not(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db", lag=0.1) as served:
        http, database = served.http(), served.studio.records.database
        with database.begin() as locked:  # nobody else may write meanwhile
            locked.execute(text("DELETE FROM requests"))
            assert http.get("/v1/models").status_code == 200
            eventually(lambda: http.get("/ready").status_code == 503)
            assert http.get("/ready").json()["wrong"] == ["the records cannot be written"]
        eventually(lambda: http.get("/ready").status_code == 200)
        assert [each.endpoint for each in served.entries()] == ["GET /v1/models"]
