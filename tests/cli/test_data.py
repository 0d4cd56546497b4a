from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from studiolo.cli import mask
from studiolo.guard.finder import Finder
from studiolo.guard.finding import Kind
from studiolo.guard.masking import Masker
from studiolo.modality.text.tokenizer import Tokenizer
from tests.cli.conftest import Run
from tests.training.corpus.small import texts

STUDIOLO = [sys.executable, "-c", "from studiolo.cli import main; main()"]
DRAFT = ".out.studiolo-build"
RECIPE = """
name: own
tokenizer: {train: {vocabulary: 300}}
sources:
  - {name: books, path: in, licence: CC0-1.0, validation: 0.2}
  - {name: lines, path: rows.jsonl, licence: MIT, validation: 0, on_error: skip}
"""
TRAINING = """
name: tiny
size: 2
model: {width: 32, heads: 2, context: 32}
training: {batch: 4, steps: 6}
watch: {evaluate: 3, tokens: 64, sample: 0}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe's file, in the folder that its paths start from."""
    monkeypatch.chdir(tmp_path)
    texts(tmp_path / "in", 30)
    rows = [json.dumps({"text": "too short"}), "broken"]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "own.yaml").write_text(RECIPE, encoding="utf-8")
    return "own.yaml"


def test_a_recipe_becomes_a_corpus_that_is_shown_and_trained_on(run: Run, recipe: str) -> None:
    ended = run("data", "build", recipe, "--out", "out", "--json")
    assert ended.code == 0
    told = json.loads(ended.out.splitlines()[-1])
    assert (told["corpus"], told["licence"], told["read"], told["kept"]) == (
        "out",
        "CC0-1.0",
        31,
        30,
    )
    assert told["unreadable"] == 1
    assert told["training_documents"] + told["validation_documents"] == 30

    shown = run("data", "show", "out", "--json").json
    assert shown["digest"] == told["digest"]
    table = run("data", "show", "out").out
    for words in ("books", "number of words", "is no JSON", f"{told['training_tokens']:,}"):
        assert words in " ".join(table.split())
    paged = run("data", "show", "out", "--html", "page.html")
    assert paged.out == ""
    sample = shown["sources"][0]["samples"][0]["text"]
    assert sample[:40] in Path("page.html").read_text(encoding="utf-8")

    Path("tiny.yaml").write_text(TRAINING, encoding="utf-8")
    trained = run("train", "tiny.yaml", "--set", "data.path=out", "--out", "model", "--json")
    assert trained.code == 0
    assert json.loads(trained.out.splitlines()[-1])["validation_loss"] > 0
    bundle = json.loads(Path("model/bundle.json").read_text(encoding="utf-8"))
    assert bundle["licence"] == "CC0-1.0"
    assert bundle["lineage"]["data"] == [told["digest"]]
    made = str(Path("model").resolve())
    assert run("generate", "The", "-m", made, "--max-tokens", "3").code == 0


def test_without_json_the_folder_is_all_that_is_printed(run: Run, recipe: str) -> None:
    ended = run("data", "build", recipe, "--out", "out", "--set", "sources.books.weight=2")
    assert ended.out == "out\n"
    assert "documents, " in ended.err
    again = run("data", "build", recipe, "--out", "out")
    assert again.code == 2
    assert "is not an empty folder" in again.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sources.books.wieght=2", "Did you mean weight?"),
        ("sources.book.weight=2", "there is no entry 'book'"),
        ("sources.books.path=nowhere", "'nowhere' is not there"),
        ("steps.quality.fewest_words=5000", "none is left: dropped 31 by quality"),
        ("steps.language.keep=[english]", "'english' is no language"),
        ("sources.lines.on_error=fail", "rows.jsonl, row 2: is no JSON"),
        ("tokenizer=nowhere", "no model is called 'nowhere'"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_left(
    run: Run, recipe: str, home: Path, change: str, message: str
) -> None:
    ended = run("data", "build", recipe, "--out", "out", "--set", change)
    assert ended.code in (1, 2)
    assert message in " ".join(ended.err.split())
    assert not Path("out").exists()
    assert not Path(DRAFT).exists()


def test_what_is_no_corpus_is_named(run: Run, tmp_path: Path) -> None:
    ended = run("data", "show", str(tmp_path))
    assert ended.code == 1
    assert "is no corpus" in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a process")
def test_ctrl_c_stops_a_build_and_leaves_nothing(recipe: str) -> None:
    texts(Path("in"), 3000)
    process = subprocess.Popen(
        [*STUDIOLO, "data", "build", recipe, "--out", "out"], stderr=subprocess.PIPE, text=True
    )
    while not Path(DRAFT).exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in told
    assert "Traceback" not in told
    assert not Path("out").exists()
    assert not Path(DRAFT).exists()


def test_personal_data_are_masked_where_the_recipe_says_so(
    run: Run, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (Path("in") / "letter.txt").write_text("Write to the baker at ada@example.org.")
    monkeypatch.setattr(mask, "load_masker", lambda: Masker(Finder({Kind.EMAIL})))
    changes = ("--set", "mask=true", "--set", "steps.quality=false")
    ended = run("data", "build", recipe, "--out", "out", *changes, "--json")
    assert ended.code == 0, ended.err
    tokenizer = Tokenizer.from_directory(Path("out"))
    parts = (np.fromfile(f"out/{part}.bin", np.uint16) for part in ("train", "validation"))
    text = "".join(tokenizer.decode(ids.tolist()) for ids in parts)
    assert "{EMAIL}" in text
    assert "ada@example.org" not in text
