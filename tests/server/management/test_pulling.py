"""Pulling over HTTP, from a catalogue whose sources are servers of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bundle.serving import FILE, Site, catalogue, closed_port, noise, serve, url_source
from tests.server.serving import Served, serving

CONTENT = noise(3_000_000)


@pytest.fixture
def own(home: Path, tmp_path: Path, monkeypatch: Any) -> Iterator[Served]:
    """A server of an empty home."""
    monkeypatch.setenv("STUDIOLO_HOME", str(home))
    with serving(tmp_path / "records.db") as running:
        yield running


@pytest.fixture
def site(home: Path) -> Iterator[Site]:
    """Where the model ``toy`` can be had."""
    with serve({FILE: CONTENT}) as found:
        catalogue(home, {FILE: CONTENT}, url_source(found.address))
        yield found


def events(stream: httpx.Response) -> list[dict[str, Any]]:
    lines = [line for line in stream.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line[6:]) for line in lines]


def pull(http: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    with http.stream("POST", "/studiolo/v1/models/pull", json=body) as stream:
        assert stream.status_code == 200, stream.read()
        assert stream.headers["content-type"].startswith("text/event-stream")
        return events(stream)


def refused(http: httpx.Client, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = http.post("/studiolo/v1/models/pull", json=body)
    error: dict[str, Any] = answer.json()["error"]
    return answer.status_code, error


def test_a_pull_is_told_to_its_end(own: Served, site: Site, home: Path) -> None:
    *before, last = pull(own.http(), model="toy")
    assert last["status"] == "done"
    assert (last["model"]["name"], last["model"]["state"]) == ("toy", "installed")
    done = [each["done"] for each in before if each["status"] == "progress"]
    assert done == sorted(done)
    assert done[-1] == len(CONTENT)
    assert (home / "models" / "toy" / FILE).read_bytes() == CONTENT
    asked = len(site.asked)
    assert [each["status"] for each in pull(own.http(), model="toy")] == ["done"]
    assert len(site.asked) == asked


def test_a_source_that_fails_is_noted_and_the_next_tried(own: Served, home: Path) -> None:
    with serve({FILE: CONTENT}) as site:
        nobody = url_source(f"http://127.0.0.1:{closed_port()}")
        catalogue(home, {FILE: CONTENT}, nobody + url_source(site.address))
        made = pull(own.http(), model="toy")
    assert made[0]["status"] == "note"
    assert "cannot be reached" in made[0]["text"]
    assert made[-1]["status"] == "done"


def test_what_fails_at_once_is_an_answer_and_later_an_event(own: Served, home: Path) -> None:
    http = own.http()
    catalogue(home, {FILE: CONTENT}, url_source(f"http://127.0.0.1:{closed_port()}"))
    status, error = refused(http, model="toy")
    assert (status, error["code"]) == (502, "SourceError")
    with serve({FILE: CONTENT}, mood="lying") as site:
        catalogue(home, {FILE: CONTENT}, url_source(site.address))
        *_, last = pull(http, model="toy")
    assert "SHA-256" in last["error"]["message"]
    assert own.studio.house.known() == []


def test_terms_must_be_accepted(own: Served, site: Site, home: Path) -> None:
    http, terms = own.http(), 'terms = { url = "https://example.org/t", summary = "Be nice." }\n'
    catalogue(home, {FILE: CONTENT}, url_source(site.address), extra=terms)
    status, error = refused(http, model="toy")
    assert status == 409
    assert "Be nice." in error["message"]
    assert "accept_licence" in error["message"]
    assert pull(http, model="toy", accept_licence=True)[-1]["status"] == "done"


@pytest.mark.parametrize(
    "model",
    ["./x", "/etc", "file:toy", "~/x", "x.gguf", "https://example.org/x.gguf", "http://[::1]/x"],
)
def test_neither_paths_nor_addresses_are_pulled(own: Served, model: str) -> None:
    status, error = refused(own.http(), model=model)
    assert (status, error["param"]) == (400, "model")
    assert "neither a name of the catalogue nor hf:owner/name" in error["message"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"model": "hf:alone"}, 400, "name"),
        ({"model": "hf:a/../../b"}, 400, "model"),
        ({"model": "toy", "name": "other"}, 400, "name"),
        ({"model": "hf:owner/x", "name": "../x"}, 400, "name"),
        ({"model": "toy", "path": "/etc"}, 400, "path"),
        ({}, 400, "model"),
    ],
)
def test_what_is_wrong_is_named(
    own: Served, site: Site, body: dict[str, Any], status: int, field: str
) -> None:
    found, error = refused(own.http(), **body)
    assert (found, error["param"]) == (status, field)


def test_leaving_stops_it_and_the_next_goes_on(own: Served, site: Site, home: Path) -> None:
    site.rate = 1_000_000
    http = own.http()
    with http.stream("POST", "/studiolo/v1/models/pull", json={"model": "toy"}) as stream:
        next(line for line in stream.iter_lines() if "progress" in line)
    site.rate = 0
    made = pull(own.http(), model="toy")
    assert made[-1]["status"] == "done"
    assert (home / "models" / "toy" / FILE).read_bytes() == CONTENT
    assert any(asked for _, asked in site.asked), "a range was asked for: it went on"


def test_more_than_two_at_once_are_asked_to_come_back(
    own: Served, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studiolo.server.pulls.AT_ONCE", 0)
    answer = own.http().post("/studiolo/v1/models/pull", json={"model": "toy"})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "30"
