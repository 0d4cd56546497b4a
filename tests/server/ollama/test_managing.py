"""Models fetched and removed by Ollama's own client, and what it cannot do here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest

from studiolo.bundle import store
from studiolo.bundle.manifest import digest_of
from tests.bundle.serving import FILE, catalogue, closed_port, noise, serve, sha256, url_source
from tests.server.serving import Served, serving

CONTENT = noise(3_000_000)


@pytest.fixture
def empty(home: Path, tmp_path: Path) -> Iterator[Served]:
    """A server on which nothing is installed, with one model in its catalogue."""
    with serve({FILE: CONTENT}) as site, serving(tmp_path / "records.db") as served:
        catalogue(home, {FILE: CONTENT}, url_source(site.address))
        yield served


def test_a_pull_tells_how_far_it_is(empty: Served) -> None:
    with ollama.Client(host=empty.url) as client:
        parts = list(client.pull("toy:latest", stream=True))
        assert parts[-1].status == "success"
        last = parts[-2]
        assert last.status == "pulling toy"
        assert (last.completed, last.total) == (len(CONTENT), len(CONTENT))
        assert last.digest == f"sha256:{digest_of([sha256(CONTENT)])}"
        (model,) = client.list().models
        assert model.model == "toy:latest"
        assert f"sha256:{model.digest}" == last.digest
        assert client.pull("toy").status == "success"
        assert client.delete("toy").status == "success"
        assert store.find("toy") is None
        with pytest.raises(ollama.ResponseError, match="no model is called 'toy'") as missing:
            client.delete("toy")
        assert missing.value.status_code == 404


def test_asynchronously(empty: Served) -> None:
    async def ask() -> tuple[list[str | None], list[str | None]]:
        async with ollama.AsyncClient(host=empty.url) as client:
            parts = [part.status async for part in await client.pull("toy", stream=True)]
            return parts, [model.model for model in (await client.list()).models]

    parts, models = asyncio.run(ask())
    assert parts[-1] == "success"
    assert models == ["toy:latest"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        ("./toy.gguf", 400, "neither a name of the catalogue"),
        ("/etc/passwd", 400, "neither a name of the catalogue"),
        ("file:/etc/passwd", 400, "neither a name of the catalogue"),
        ("http://127.0.0.1/toy.gguf", 400, "neither a name of the catalogue"),
        ("../../toy", 400, "neither a name of the catalogue"),
        ("hf:../../toy", 400, "cannot name a model"),
        ("nobody", 404, "no model is called 'nobody'"),
    ],
)
def test_what_may_not_be_fetched_is_refused_at_once(
    empty: Served, what: str, status: int, words: str, stream: bool
) -> None:
    reply = empty.http().post("/api/pull", json={"model": what, "stream": stream})
    assert reply.status_code == status
    assert words in reply.json()["error"]


def test_a_pull_that_fails_says_so(home: Path, tmp_path: Path) -> None:
    catalogue(home, {FILE: CONTENT}, url_source(f"http://127.0.0.1:{closed_port()}"))
    with (
        serving(tmp_path / "records.db") as served,
        ollama.Client(host=served.url) as client,
        pytest.raises(ollama.ResponseError, match="could not be fetched"),
    ):
        client.pull("toy")
    with serve({FILE: CONTENT}, mood="lying") as site:
        catalogue(home, {FILE: CONTENT}, url_source(site.address))
        with (
            serving(tmp_path / "others.db") as served,
            ollama.Client(host=served.url) as client,
            pytest.raises(ollama.ResponseError, match="could not be fetched"),
        ):
            list(client.pull("toy", stream=True))


def test_only_keys_that_may_manage_models_do(empty: Served) -> None:
    keys = empty.studio.records.keys
    asker = keys.create(name="asker", scopes=("inference", "models:read")).secret
    other = keys.create(name="other", scopes=("models:write",), models=("mine-*",)).secret
    manager = keys.create(name="manager", scopes=("models:write", "inference")).secret

    def told(secret: str, act: Callable[[ollama.Client], Any]) -> int:
        headers = {"authorization": f"Bearer {secret}"}
        with ollama.Client(host=empty.url, headers=headers) as client:
            try:
                act(client)
            except ollama.ResponseError as error:
                return error.status_code
        return 200

    for secret, status in ((asker, 403), (other, 403), ("wrong", 401), (manager, 200)):
        assert told(secret, lambda client: client.pull("toy")) == status
    for secret, status in ((asker, 403), (other, 403), ("wrong", 401), (manager, 200)):
        assert told(secret, lambda client: client.delete("toy")) == status


def test_what_is_not_here_says_so(client: ollama.Client, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"x")
    acts: list[Callable[[], Any]] = [
        lambda: client.create("mine", from_="tiny"),
        lambda: client.copy("tiny", "mine"),
        lambda: client.push("tiny"),
        lambda: client.create_blob(tmp_path / "blob"),
    ]
    for act in acts:
        with pytest.raises(ollama.ResponseError, match="is not supported here") as refused:
            act()
        assert refused.value.status_code == 404


def test_a_model_in_use_elsewhere_or_nameless_stays(served: Served) -> None:
    http = served.http()
    for body, words in (
        ({}, "model: is missing"),
        ({"model": "a", "name": "b"}, "model: is given twice"),
        ({"name": "../tiny"}, "cannot name a model"),
    ):
        reply = http.request("DELETE", "/api/delete", json=body)
        assert reply.status_code == 400
        assert words in reply.json()["error"]
    assert http.get("/api/delete").status_code == 405
    assert http.get("/api/nothing").json()["error"].endswith("there is no such address here")
