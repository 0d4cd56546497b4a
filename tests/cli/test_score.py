from __future__ import annotations

import math
from pathlib import Path

import pytest

from studiolo.cli.score import SHADES, shade
from tests.cli.conftest import Run

TEXT = "the cat sat on the mat\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def test_json_has_what_others_rely_on_and_agrees_with_itself(
    run: Run, tiny: str, file: str
) -> None:
    found = run("score", file, "-m", tiny, "--json").json
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_token"]))
    assert found["token_count"] > 2
    assert found["bits_per_byte"] > 0
    assert run("score", "-m", tiny, "--json", stdin=TEXT).json == found
    assert run("score", "-", "-m", tiny, "--json", stdin=TEXT).json == found


def test_the_table_says_the_same_and_tokens_spell_the_text(run: Run, tiny: str, file: str) -> None:
    found = run("score", file, "-m", tiny, "--json").json
    plain = run("score", file, "-m", tiny, "--tokens").out
    assert plain.startswith(TEXT)
    assert f"{found['nats_per_token']:.4f}" in plain
    assert f"{found['perplexity']:,.3f}" in plain


def test_a_long_text_shows_a_bar_on_a_terminal_alone(
    run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = tmp_path / "long", tmp_path / "short"
    long.write_text(TEXT * 100, encoding="utf-8")
    short.write_text(TEXT, encoding="utf-8")
    ended = run("score", str(long), "-m", tiny, "--json")
    assert ended.json["token_count"] > 512
    assert ended.err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    seen = run("score", str(long), "-m", tiny, "--json")
    assert seen.json == ended.json
    assert f"/{ended.json['token_count']}" in seen.err
    assert run("score", str(short), "-m", tiny).err == ""


def test_every_probability_has_a_shade() -> None:
    assert shade(0.0) == "green"
    assert shade(math.log(0.05)) == "yellow"
    assert shade(-math.inf) == SHADES[-1][1]


def test_wrong_inputs(run: Run, tiny: str, tmp_path: Path) -> None:
    assert "there is no file" in run("score", "/no/such", "-m", tiny).err
    empty = tmp_path / "empty"
    empty.touch()
    ended = run("score", str(empty), "-m", tiny)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)))
    assert "is not UTF-8 text" in run("score", str(binary), "-m", tiny).err
