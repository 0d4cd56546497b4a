"""Models over HTTP: listed, loaded, unloaded, removed, and never by a path."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.serving import Served, serving


@pytest.fixture
def http(served: Served) -> httpx.Client:
    return served.http()


@pytest.fixture
def own(tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server with a home of its own, whose models may be removed."""
    home = tmp_path / "home"
    shutil.copytree(tiny_home / "models", home / "models")
    monkeypatch.setenv("STUDIOLO_HOME", str(home))
    with serving(tmp_path / "records.db", house={"prefix_memory": 1 << 20}) as running:
        yield running


def state(http: httpx.Client, name: str = "tiny") -> str:
    return str(http.get(f"/studiolo/v1/models/{name}").json()["state"])


def test_models_are_listed_with_their_facts(http: httpx.Client) -> None:
    listed = http.get("/studiolo/v1/models").json()
    assert (listed["object"], listed["broken"]) == ("list", [])
    by_name = {each["name"]: each for each in listed["data"]}
    assert set(by_name) == {"tiny", "tiny-encoder"}
    tiny = by_name["tiny"]
    assert (tiny["family"], tiny["modality"]) == ("autoregressive", "text")
    assert (by_name["tiny-encoder"]["family"], len(tiny["digest"])) == ("encoder", 64)
    assert tiny["size"] > 10_000
    assert tiny["source"]["kind"] == "directory"
    assert tiny["source"]["where"] is None, "no path of this machine"
    assert http.get("/studiolo/v1/models/tiny").json() == tiny


def test_the_catalogue_says_what_could_be_pulled(http: httpx.Client) -> None:
    entries = {each["name"]: each for each in http.get("/studiolo/v1/catalogue").json()["data"]}
    starter = entries["smollm2-135m-instruct"]
    assert (starter["installed"], starter["terms"]) == (False, None)
    assert starter["licence"] == "Apache-2.0"
    assert entries["gemma-3-270m"]["terms"]["url"].startswith("https://")


def test_loading_and_unloading(own: Served) -> None:
    http = own.http()
    assert state(http) == "installed"
    made = http.post("/studiolo/v1/models/load", json={"model": "tiny"})
    assert (made.status_code, made.json()["state"]) == (200, "loaded")
    assert made.json()["memory"] == made.json()["size"]
    made = http.post("/studiolo/v1/models/unload", json={"model": "tiny"})
    assert (made.json()["state"], made.json()["memory"]) == ("installed", 0)
    assert http.post("/studiolo/v1/models/unload", json={"model": "tiny"}).status_code == 200


def test_what_is_in_use_stays(own: Served) -> None:
    http = own.http()
    http.post("/studiolo/v1/models/load", json={"model": "tiny"})
    models = own.studio.house.engine.models
    models.acquire("tiny")
    for refused in (
        http.post("/studiolo/v1/models/unload", json={"model": "tiny"}),
        http.delete("/studiolo/v1/models/tiny"),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "BusyError")
        assert int(refused.headers["retry-after"]) >= 1
    assert state(http) == "loaded"
    models.release("tiny")
    assert http.delete("/studiolo/v1/models/tiny").status_code == 200


def test_removing(own: Served, tmp_path: Path) -> None:
    http = own.http()
    http.post("/studiolo/v1/models/load", json={"model": "tiny"})
    gone = http.delete("/studiolo/v1/models/tiny")
    assert gone.json() == {"object": "model.deleted", "name": "tiny", "deleted": True}
    assert not (tmp_path / "home" / "models" / "tiny").exists()
    assert http.delete("/studiolo/v1/models/tiny").status_code == 404
    assert http.get("/studiolo/v1/models/tiny").status_code == 404
    asked = http.post("/v1/completions", json={"model": "tiny", "prompt": "x"})
    assert (asked.status_code, asked.json()["error"]["code"]) == (404, "model_not_found")


def test_what_is_broken_is_named(own: Served, tmp_path: Path) -> None:
    (tmp_path / "home" / "models" / "tiny" / "model.safetensors").write_bytes(b"short")
    listed = own.http().get("/studiolo/v1/models").json()
    assert listed["broken"] == ["tiny"]
    assert [each["name"] for each in listed["data"]] == ["tiny-encoder"]


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../tiny", "./tiny", "~root", "file:tiny", "a/b", "x.gguf", "https://x/y"],
)
def test_no_path_is_a_model(http: httpx.Client, name: str) -> None:
    for action in ("load", "unload"):
        refused = http.post(f"/studiolo/v1/models/{action}", json={"model": name})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")
    for method in ("GET", "DELETE"):
        refused = http.request(method, f"/studiolo/v1/models/{name.replace('/', '%2F')}")
        assert refused.status_code in (400, 404)


def test_what_is_wrong_is_named(http: httpx.Client) -> None:
    wrong = http.post("/studiolo/v1/models/load", json={"model": "tiny", "colour": 1})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "colour")
    unknown = http.post("/studiolo/v1/models/load", json={"model": "tiny-encodr"})
    assert unknown.status_code == 404
    assert "Did you mean tiny-encoder or tiny?" in unknown.json()["error"]["message"]


def test_scopes_and_patterns(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as running:
        keys = running.studio.records.keys
        reader = keys.create(name="r", scopes=["models:read"], models=["tiny-*"])
        writer = keys.create(name="w", scopes=["models:write"], models=["tiny-*"])
        http = running.http()
        assert http.get("/studiolo/v1/models").status_code == 401

        def asked(method: str, path: str, secret: str, **json: str) -> tuple[int, object]:
            answer = http.request(
                method,
                f"/studiolo/v1{path}",
                headers={"authorization": f"Bearer {secret}"},
                json=json or None,
            )
            return answer.status_code, answer.json()

        _, listed = asked("GET", "/models", reader.secret)
        assert isinstance(listed, dict)
        assert [each["name"] for each in listed["data"]] == ["tiny-encoder"]
        for method, path, json in (
            ("POST", "/models/load", {"model": "tiny-encoder"}),
            ("POST", "/models/unload", {"model": "tiny-encoder"}),
            ("POST", "/models/pull", {"model": "tiny-encoder"}),
            ("DELETE", "/models/tiny-encoder", {}),
        ):
            assert asked(method, path, reader.secret, **json)[0] == 403
        for path in ("/models", "/catalogue", "/memory", "/engine"):
            assert asked("GET", path, writer.secret)[0] == 403
        assert asked("GET", "/models/tiny", reader.secret)[0] == 403
        assert asked("POST", "/models/load", writer.secret, model="tiny")[0] == 403
        assert asked("POST", "/models/pull", writer.secret, model="gemma-3-270m")[0] == 403
        assert asked("DELETE", "/models/tiny", writer.secret)[0] == 403
        assert asked("POST", "/models/load", writer.secret, model="tiny-encoder")[0] == 200
