from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from studiolo.guard.names import Names
from tests.cli.conftest import Run
from tests.guard.conftest import names

__all__ = ["names"]

TEXT = "Write to mary@example.org,\r\nor call 415-555-0132. My PIN is 4821"
SOME = ("--kinds", "email,PHONE,pin")


def test_a_filter(run: Run) -> None:
    ended = run("mask", *SOME, stdin=TEXT)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "Write to {EMAIL},\r\nor call {PHONE}. My PIN is {PIN}"
    assert run("mask", "--kinds", "PIN", stdin="").out == ""


def test_findings_as_json(run: Run) -> None:
    told = run("mask", "--kinds", "PIN", "--json", stdin=TEXT).json
    assert told["text"].endswith("My PIN is {PIN}")
    (finding,) = told["findings"]
    assert TEXT[finding["start"] : finding["end"]] == "4821"
    assert (finding["kind"], finding["score"] > 0.9) == ("PIN", True)


def test_there_and_back(run: Run, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    hidden = run("mask", *SOME, "--key-file", str(key), stdin=TEXT).out
    assert "mary" not in hidden
    assert "{EMAIL:" in hidden
    assert run("mask", "--undo", "--key-file", str(key), stdin=hidden).out == TEXT
    assert run("mask", "--undo", "--key-file", str(key), "--json", stdin=hidden).json == {
        "text": TEXT
    }
    key.write_bytes(b"l" * 32)
    assert run("mask", "--undo", "--key-file", str(key), stdin=hidden).out == hidden


@pytest.mark.parametrize(
    ("arguments", "stdin", "why"),
    [
        (("--kinds", "EMAI"), b"x", "--kinds: 'EMAI' is no kind"),
        (("--undo",), b"x", "--undo: needs --key-file"),
        (("--undo", "--kinds", "PIN", "--key-file", "x"), b"x", "does not go with --kinds"),
        (("--kinds", "PIN", "--key-file", "none"), b"x", "key-file: 'none' cannot be read"),
        (("--kinds", "PIN"), b"ab\xff", "is not UTF-8 text (byte 2)"),
        (("--kinds", "PIN"), b"ab\xe2\x82", "is not UTF-8 text (byte 2)"),
    ],
)
def test_what_is_wrong_is_said(
    run: Run,
    arguments: tuple[str, ...],
    stdin: bytes,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("mask", *arguments, stdin=stdin)
    assert ended.code == 2
    assert why in " ".join(ended.err.split())
    assert ended.out == ""


def test_without_the_model_nothing_is_masked_by_half(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studiolo.bundle.sources.index.pip_command", lambda: ["false"])
    ended = run("mask", stdin=TEXT)
    assert ended.code == 1
    assert ended.out == ""
    assert "the model of names cannot be fetched" in ended.err
    assert "--kinds" in ended.err


def test_the_example_of_the_page(run: Run, monkeypatch: pytest.MonkeyPatch, names: Names) -> None:
    monkeypatch.setattr("studiolo.cli.mask.load_names", lambda: names)
    page = (Path(__file__).parents[2] / "docs" / "guard.md").read_text("utf-8")
    given, made = re.findall(r'\$ echo "(.+)" \| studiolo mask\n(.+)\n', page)[0]
    assert run("mask", stdin=given + "\n").out == made + "\n"


def test_what_is_settled_comes_out_at_once() -> None:
    command = [sys.executable, "-m", "studiolo", "mask", "--kinds", "PIN"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"My PIN is 4821. It is")
        process.stdin.flush()
        assert process.stdout.read(17) == b"My PIN is {PIN}. "
        rest, _ = process.communicate(b" secret.\n")
    assert rest == b"It is secret.\n"
