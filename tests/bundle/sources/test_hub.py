"""The hub, with a server on this machine in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studiolo.bundle.catalogue import HubSource, Wanted
from studiolo.bundle.landing import Landing
from studiolo.bundle.pull import pull
from studiolo.bundle.sources import fetch, hub
from studiolo.errors import SourceError
from tests.bundle.serving import Site, closed_port, noise, serve, sha256

REVISION = "a" * 40
SAFETENSORS = {
    "README.md": b"---\nlicense: mit\n---\n",
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "model.safetensors": noise(1000),
    "tokenizer.json": b"{}",
    "pytorch_model.bin": b"pickle",
    "onnx/model.onnx": b"onnx",
    "run.py": b"raise SystemExit",
}


def stock(site: Site, files: dict[str, bytes], repository: str = "owner/name") -> None:
    """Let ``site`` answer for a repository as the hub does."""
    siblings: list[dict[str, Any]] = []
    for name, content in files.items():
        site.files[f"{repository}/resolve/{REVISION}/{name}"] = content
        sibling: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": "b" * 40}
        if name.endswith((".safetensors", ".gguf", ".bin")):
            sibling["lfs"] = {
                "sha256": sha256(content),
                "size": len(content),
                "pointerSize": 100,
            }
        siblings.append(sibling)
    site.json[f"/api/models/{repository}"] = json.dumps(
        {
            "id": repository,
            "sha": REVISION,
            "siblings": siblings,
            "cardData": {"license": "mit"},
            "tags": [],
            "downloads": 0,
            "private": False,
        }
    )


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_token")
def test_a_repository_outside_the_catalogue(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({}) as site:
        stock(site, SAFETENSORS)
        monkeypatch.setenv("HF_ENDPOINT", site.address)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        bundle = pull("hf:owner/name")
        assert bundle.name == "owner--name"
        assert set(bundle.names) == {
            "README.md",
            "config.json",
            "model.safetensors",
            "tokenizer.json",
        }
        assert bundle.manifest.licence == "mit"
        assert bundle.manifest.family == "autoregressive"
        assert site.headers[-1]["Authorization"] == "Bearer hf_secret"
        asked = len(site.asked)
        assert pull("hf:owner/name") == bundle
        assert len(site.asked) == asked
        assert "hf_secret" not in (bundle.path / "bundle.json").read_text()


@pytest.mark.usefixtures("no_token")
def test_one_gguf_of_several(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"x-q8_0.gguf": noise(100, 1), "x-q2_k.gguf": noise(100, 2)}
    with serve({}) as site:
        stock(site, files)
        monkeypatch.setenv("HF_ENDPOINT", site.address)
        with pytest.raises(SourceError, match="name one as") as caught:
            pull("hf:owner/name")
        assert "x-q2_k.gguf" in str(caught.value.remedy)
        bundle = pull("hf:owner/name/x-q2_k.gguf")
    assert bundle.weights is not None
    assert bundle.weights.read_bytes() == files["x-q2_k.gguf"]
    assert bundle.name == "owner--name--x-q2_k"


@pytest.mark.usefixtures("no_token")
def test_a_repository_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({}) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.address)
        with pytest.raises(SourceError, match="no repository owner/name") as caught:
            pull("hf:owner/name")
        assert "HF_TOKEN" in str(caught.value.remedy)


@pytest.mark.usefixtures("no_token")
def test_without_a_way_to_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landing = Landing("toy", tmp_path, [Wanted(name="x.gguf", sha256="0" * 64, size=1)])
    source = HubSource(repository="owner/name")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(SourceError, match="cannot be reached"):
        fetch(source, landing)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE"):
        fetch(source, landing)


CASES = [
    (["config.json", "model.safetensors", "x.gguf"], ["config.json", "model.safetensors"]),
    (
        [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.fp16.safetensors",
            "model.safetensors.index.json",
        ],
        [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
        ],
    ),
    (["README.md", "x.gguf"], ["x.gguf"]),
    (["x-Q4_K_M.gguf", "x-Q8_0.gguf"], ["x-Q4_K_M.gguf"]),
    (["x-00001-of-00002.gguf", "x-q8_0.gguf"], ["x-q8_0.gguf"]),
]


@pytest.mark.parametrize(("names", "chosen"), CASES)
def test_what_is_taken(names: list[str], chosen: list[str]) -> None:
    assert hub.choose(names, "owner/name", None) == chosen


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "no GGUF"),
        (["config.json", "pytorch_model.bin"], "pickled"),
        (["a-q8_0.gguf", "b-q8_0.gguf"], "several"),
        (["config.json", "model.fp16.safetensors"], "no model.safetensors"),
    ],
)
def test_what_cannot_be_taken(names: list[str], reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        hub.choose(names, "owner/name", None)
    with pytest.raises(SourceError, match="no GGUF file"):
        hub.choose(names, "owner/name", "other.gguf")
