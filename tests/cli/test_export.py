from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from studiolo.bundle.gguf import GGUFFile
from studiolo.bundle.gguf_writer import WeightType
from studiolo.cli.export import Kind
from tests.cli.conftest import Run


def test_the_types_are_those_of_the_writer() -> None:
    assert [kind.value for kind in Kind] == [kind.value for kind in WeightType]


def test_a_model_becomes_a_file(run: Run, tiny: str, tmp_path: Path) -> None:
    out = tmp_path / "tiny.gguf"
    ended = run("export", tiny, "--format", "gguf", "--out", str(out), "--type", "q8_0")
    assert ended.code == 0, ended.err
    assert ended.out == f"{out}\n"
    assert "Q8_0" in ended.err
    told = run("export", str(out), "--out", str(tmp_path / "again.gguf"), "--json")
    assert "GGUF already" in told.err
    made = tmp_path / "again.gguf"
    assert told.json["sha256"] == hashlib.sha256(made.read_bytes()).hexdigest()
    assert told.json["tensors"] == {"F16": 16, "F32": 5}
    assert told.json["source"]["digest"] == GGUFFile.open(made).metadata["studiolo.source.digest"]
    said = run("generate", "the cat", "--model", str(made), "--max-tokens", "3", "--json")
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--out", "/no/such/folder/x.gguf"), "name a file in a folder that exists"),
        (("--out", "x.gguf", "--type", "q2"), "q2"),
        (("--out", "x.gguf", "--format", "onnx"), "onnx"),
    ],
)
def test_what_cannot_be_is_said(run: Run, tiny: str, arguments: tuple[str, ...], why: str) -> None:
    ended = run("export", tiny, *arguments)
    assert ended.code == 2
    assert why in ended.err
