from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import studiolo
from tests.cli.conftest import Run

TEXTS = ["the cat sat", "", "the rain"]


def test_json_has_an_object_for_each_text_with_every_bit(run: Run, tiny_encoder: str) -> None:
    found = run("embed", *TEXTS, "-m", tiny_encoder, "--json").json
    assert [set(each) for each in found] == [{"index", "embedding", "tokens"}] * 3
    assert [each["index"] for each in found] == [0, 1, 2]
    assert [each["tokens"] for each in found] == [13, 2, 10]
    expected = studiolo.embed(TEXTS, model=tiny_encoder, device="cpu")
    assert torch.equal(torch.tensor([each["embedding"] for each in found]), expected)


def test_a_file_and_a_pipe_give_a_text_a_line(run: Run, tiny_encoder: str, tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    for content in ("the cat sat\n\nthe rain\n", "the cat sat\r\n\r\nthe rain"):
        file.write_bytes(content.encode())
        expected = run("embed", *TEXTS, "-m", tiny_encoder, "--json").json
        assert run("embed", "--file", str(file), "-m", tiny_encoder, "--json").json == expected
        assert run("embed", "-m", tiny_encoder, "--json", stdin=content).json == expected
        assert run("embed", "-", "-m", tiny_encoder, "--json", stdin=content).json == expected
    file.write_text("a\u2028b\x0cc\n")
    assert len(run("embed", "--file", str(file), "-m", tiny_encoder, "--json").json) == 1
    file.write_text("")
    assert run("embed", "--file", str(file), "-m", tiny_encoder, "--json").json == []


def test_people_see_sizes_first_numbers_and_how_alike(run: Run, tiny_encoder: str) -> None:
    one = run("embed", "the cat sat", "-m", tiny_encoder).out
    assert "4 of 32 numbers" in one
    assert "the cat sat" in one
    assert "cosine" not in one
    vector = studiolo.embed("the cat sat", model=tiny_encoder, device="cpu")[0]
    assert f"{float(vector[0]):.4f}, {float(vector[1]):.4f}" in one
    two = run("embed", "the cat sat", "the cat sat", "-m", tiny_encoder).out
    assert two.count("1.00") == 4
    many = run("embed", "-m", tiny_encoder, stdin="x\n" * 12)
    assert "The first 10 of 12 texts" in many.err
    assert many.out.count("1.00") == 100


def test_too_long_is_an_error_unless_truncated(run: Run, tiny_encoder: str) -> None:
    ended = run("embed", "x" * 30, "-m", tiny_encoder)
    assert ended.code == 2
    assert "texts[0]: 32 tokens" in ended.err
    assert "(8 too many)" in ended.err
    assert "--truncate" in ended.err
    found = run("embed", "x" * 30, "-m", tiny_encoder, "--truncate", "--json").json
    assert found[0]["tokens"] == 24
    assert math.hypot(*found[0]["embedding"]) == pytest.approx(1)


def test_long_work_shows_a_bar_on_a_terminal_alone(
    run: Run, tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("embed", "-m", tiny_encoder, "--json")
    quiet = run(*args, stdin="abc\n" * 500)
    assert quiet.err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    seen = run(*args, stdin="abc\n" * 500)
    assert seen.json == quiet.json
    assert "/500" in seen.err
    assert run(*args, stdin="abc\n").err == ""


def test_wrong_inputs(run: Run, tiny: str, tmp_path: Path) -> None:
    ended = run("embed", "x", "-m", tiny)
    assert ended.code == 1
    assert "not supported as an encoder" in ended.err
    assert "given twice" in run("embed", "x", "--file", str(tmp_path / "f")).err
    assert "there is no file" in run("embed", "--file", str(tmp_path / "f")).err
