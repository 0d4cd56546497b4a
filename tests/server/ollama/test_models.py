"""Models as Ollama's client lists, shows and finds them open."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from pathlib import Path

import ollama
import pytest

from studiolo.bundle import store
from studiolo.task.asking import Outcome
from tests.server.scripted import Scripted
from tests.server.serving import Served, serving


def test_models_are_listed(client: ollama.Client) -> None:
    models = {model.model: model for model in client.list().models}
    assert set(models) == {"tiny:latest", "tiny-encoder:latest"}
    bundle = store.find("tiny")
    assert bundle is not None
    tiny = models["tiny:latest"]
    assert tiny.digest == bundle.digest
    assert tiny.size == sum(path.stat().st_size for path in bundle.files.values())
    assert tiny.details is not None
    assert tiny.details.format == "safetensors"


def test_a_model_is_shown(client: ollama.Client) -> None:
    for name in ("tiny", "tiny:latest"):
        shown = client.show(name)
        assert shown.capabilities == ["completion", "tools"]
        assert shown.details is not None
        assert shown.details.family == "llama"
        assert (shown.modelinfo or {})["llama.context_length"] == 4096
        assert "add_generation_prompt" in (shown.template or "")
    assert client.show("tiny-encoder").capabilities == ["embedding"]
    with pytest.raises(ollama.ResponseError, match="no model is called 'nobody'") as missing:
        client.show("nobody")
    assert missing.value.status_code == 404


@pytest.mark.parametrize("name", ["./tiny", "/etc/passwd", "../models/tiny", "~/x.gguf"])
def test_no_path_is_looked_at(client: ollama.Client, tiny_home: Path, name: str) -> None:
    with pytest.raises(ollama.ResponseError) as refused:
        client.show(name)
    assert refused.value.status_code == 404
    with pytest.raises(ollama.ResponseError):
        client.show(str(tiny_home / "models" / "tiny"))


def test_what_is_open_is_told(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as served, ollama.Client(host=served.url) as client:
        assert client.ps().models == []
        client.generate("tiny")
        (model,) = client.ps().models
        assert (model.model, model.name) == ("tiny:latest", "tiny:latest")
        assert model.size is not None
        assert model.size > 0
        assert model.expires_at is None


def test_a_model_elsewhere_has_a_name_and_no_more(tmp_path: Path) -> None:
    far = Scripted(outcome=Outcome(0, 0, 0, None, 0.0))
    with (
        serving(tmp_path / "records.db", house={"elsewhere": {"far": far}}) as served,
        ollama.Client(host=served.url) as client,
    ):
        found = {model.model: model for model in client.list().models}["far:latest"]
        assert (found.size, found.digest) == (None, None)
        assert client.show("far").capabilities == ["completion"]
        with pytest.raises(ollama.ResponseError, match="is elsewhere") as refused:
            client.delete("far")
        assert refused.value.status_code == 409


def test_keys_see_what_they_may_use(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as served:
        made = served.studio.records.keys.create(
            name="one", scopes=("inference",), models=("tiny",)
        )
        headers = {"authorization": f"Bearer {made.secret}"}
        with ollama.Client(host=served.url, headers=headers) as client:
            assert [model.model for model in client.list().models] == ["tiny:latest"]
            with pytest.raises(ollama.ResponseError) as refused:
                client.show("tiny-encoder")
            assert refused.value.status_code == 403


def test_the_version_is_ours(served: Served) -> None:
    assert served.http().get("/api/version").json() == {"version": version("studiolo")}


def test_asynchronously(served: Served) -> None:
    async def ask() -> tuple[int, list[str] | None]:
        async with ollama.AsyncClient(host=served.url) as client:
            await client.ps()
            return len((await client.list()).models), (await client.show("tiny")).capabilities

    assert asyncio.run(ask()) == (2, ["completion", "tools"])
