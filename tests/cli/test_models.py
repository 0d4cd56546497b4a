"""The three commands, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studiolo.cli import main
from tests.bundle.serving import catalogue, noise, serve

FILE = "toy.gguf"


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(list(args))
    return int(leaving.value.code or 0)


def test_the_life_of_a_model(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = noise(1000)
    with serve({FILE: content}) as site:
        source = f'[[models.toy.sources]]\nkind = "url"\nurl = "{site.address}/{FILE}"\n'
        catalogue(home, {FILE: content}, source)
        assert run("models") == 0
        assert "studiolo pull" in capsys.readouterr().err
        assert run("pull", "toy", "--json") == 0
    pulled = json.loads(capsys.readouterr().out)
    assert pulled["path"] == str(home / "models" / "toy")
    assert pulled["size"] == 1000
    assert run("models", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["toy"]
    assert rows[0]["digest"] == pulled["digest"]
    assert run("models", "--all", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 6
    assert run("models", "--all") == 0
    assert "smollm2-135m-instruct" in capsys.readouterr().out
    assert run("remove", "toy", "--yes") == 0
    assert not (home / "models" / "toy").exists()
    assert run("remove", "toy", "--yes") == 2


def test_terms_are_shown_in_full(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pull", "gemma-3-270m") == 1
    said = capsys.readouterr().err
    assert "https://ai.google.dev/gemma/terms" in said
    assert "--accept-licence" in said


def test_a_path_and_a_name(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FILE).write_bytes(b"GGUF")
    assert run("pull", str(tmp_path / FILE), "--name", "mine", "--quiet") == 0
    assert capsys.readouterr().out == ""
    assert (home / "models" / "mine" / FILE).read_bytes() == b"GGUF"


def test_removal_asks(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).write_bytes(b"GGUF")
    run("pull", str(tmp_path / FILE), "--quiet")
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run("remove", "toy") == 1
    assert (home / "models" / "toy").exists()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run("remove", "toy") == 0
    assert not (home / "models" / "toy").exists()
