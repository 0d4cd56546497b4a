from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_an_installed_model_shows_its_files_with_digests(run: Run, starter: Path) -> None:
    found = run("inspect", starter.name, "--json").json
    assert found["installed"] is True
    assert found["architecture"] == "llama"
    assert found["parameters"] == 134_515_008
    assert found["licence"] == "Apache-2.0"
    assert found["context_length"] == 8192
    assert found["memory"]["weights_float32"] == 4 * 134_515_008
    # 30 layers x (keys + values) x 3 heads x 64 numbers x 4 bytes x 1000 tokens
    assert found["memory"]["cache_per_1000_tokens_float32"] == 30 * 2 * 3 * 64 * 4 * 1000
    assert found["tokenizer"]["vocab_size"] == 49_152
    assert found["tensor_types"]["Q4_1"] == 210
    (file,) = found["files"]
    path = Path(file["path"])
    assert path.is_absolute()
    assert path.stat().st_size == file["size"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]


def test_a_gguf_by_its_path_is_the_same_model(run: Run, starter: Path) -> None:
    (file,) = starter.glob("*.gguf")
    by_name = run("inspect", starter.name, "--json").json
    by_path = run("inspect", str(file), "--json").json
    for key in ("architecture", "sizes", "memory", "tokenizer", "tensor_types", "digest"):
        assert by_path[key] == by_name[key]
    shown = run("inspect", str(file)).out
    assert "byte-level BPE, 49,152 tokens" in shown
    assert "not recorded" in shown


def test_an_encoder(run: Run, encoder: Path) -> None:
    found = run("inspect", encoder.name, "--json").json
    assert found["architecture"] == "bert"
    assert found["context_length"] == 256
    assert found["sizes"]["layers"] == 6
    assert "note" not in found
    shown = " ".join(run("inspect", encoder.name).out.split())
    assert "6 layers of width 384, MLP 1,536, 12 heads of 32" in shown
    assert "384 numbers, the mean of the last layer's vectors, scaled to length 1" in shown


def test_a_hugging_face_directory(run: Run, tiny: str) -> None:
    found = run("inspect", tiny, "--json").json
    assert found["format"] == "Hugging Face directory"
    assert found["sizes"]["layers"] == 2
    assert found["sizes"]["kv_heads"] == 2
    assert set(found["tensor_types"]) == {"F32"}
    assert {Path(f["path"]).name for f in found["files"]} >= {"config.json", "model.safetensors"}
    assert "2 layers of width 32" in run("inspect", tiny).out


@pytest.mark.usefixtures("home")
def test_a_model_that_is_not_here_shows_what_the_catalogue_knows(run: Run) -> None:
    found = run("inspect", "gemma-3-270m", "--json").json
    assert found["installed"] is False
    assert found["files"] == []
    assert found["parameters"] == 268_098_176
    assert "no; `studiolo pull gemma-3-270m` fetches 253 MB" in run("inspect", "gemma-3-270m").out


def test_wrong_names(run: Run, tmp_path: Path) -> None:
    ended = run("inspect", "smollm2-135m-instrct")
    assert ended.code == 2
    assert "Did you mean smollm2-135m-instruct" in ended.err
    assert run("inspect", str(tmp_path)).code != 0
    for command in (("inspect", "./nope"), ("generate", "x", "-m", "./nope")):
        ended = run(*command)
        assert ended.code == 1
        assert "there is nothing at" in ended.err
        assert "hf:" not in ended.err
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(40))
    ended = run("inspect", str(broken))
    assert ended.code == 1
    assert ended.err.startswith("error: ")
