from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.training.small import text_file

STUDIOLO = [sys.executable, "-c", "from studiolo.cli import main; main()"]
RECIPE = """
name: rhyme
size: 2
model: {width: 32, heads: 2, context: 16}
training: {batch: 4, steps: 12}
watch: {evaluate: 6, tokens: 64, sample: 0}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "rhyme.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return str(path)


def test_a_recipe_becomes_a_model(run: Run, recipe: str, tmp_path: Path) -> None:
    out, data = str(tmp_path / "out"), f"data.path={text_file(tmp_path)}"
    ended = run("train", recipe, "--set", data, "--out", out, "--json")
    assert ended.code == 0
    told = json.loads(ended.out.splitlines()[-1])
    assert set(told) == {
        "steps", "train_loss", "validation_loss", "tokens_per_second", "seconds", "bundle",
    }  # fmt: skip
    assert (told["steps"], told["bundle"]) == (12, out)
    assert 0 < told["validation_loss"] < 5
    assert "step 12 of 12" in ended.err
    assert run("generate", "The cat", "-m", out, "--max-tokens", "5").code == 0
    again = run("train", recipe, "--set", data, "--out", out)
    assert again.code == 2
    assert "--resume" in again.err


def test_without_json_the_bundle_is_all_that_is_printed(
    run: Run, recipe: str, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    ended = run("train", recipe, "--set", f"data.path={text_file(tmp_path)}", "--out", out)
    assert ended.out == f"{out}\n"
    assert "12 steps in" in ended.err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["model.widht=64"], "Did you mean width?"),
        (["model.width=63"], "do not divide the width of 63"),
        (["training.steps=many"], "training.steps"),
        (["training"], "must be key=value"),
        (["data.path=/nowhere/at/all"], "cannot be read"),
        ([], "--set data.path=FILE"),
    ],
)
def test_what_is_wrong_is_named(
    run: Run, recipe: str, tmp_path: Path, changes: list[str], message: str
) -> None:
    settings = [f"--set={change}" for change in changes]
    if changes and not changes[0].startswith("data"):
        settings.append(f"--set=data.path={text_file(tmp_path)}")
    ended = run("train", recipe, *settings, "--out", str(tmp_path / "out"))
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a process")
def test_ctrl_c_leaves_a_run_that_can_be_gone_on_with(
    run: Run, recipe: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [*STUDIOLO, "train", recipe, "--out", str(out)]
    given = [f"--set=data.path={text_file(tmp_path)}", "--set=training.steps=100000"]
    process = subprocess.Popen([*command, *given], stderr=subprocess.PIPE, text=True)
    log = out / "training" / "log.jsonl"
    while not (log.exists() and log.stat().st_size):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume goes on from there" in told
    assert list((out / "training" / "checkpoints").glob("*.safetensors"))


def test_rates_are_found_and_nothing_is_trained(run: Run, recipe: str, tmp_path: Path) -> None:
    out, data = tmp_path / "out", f"data.path={text_file(tmp_path)}"
    ended = run("train", recipe, "--set", data, "--out", str(out), "--find-rate")
    assert ended.code == 0
    assert ended.out.startswith("--set optimiser.rate=0.0")
    assert "--set optimiser.matrix_rate=0.0" in ended.out
    assert ended.err.count("•") > 20
    assert [p.name for p in out.rglob("*") if p.is_file()] == ["rates.html"]
    told = json.loads(
        run("train", recipe, "--set", data, "--out", str(out), "--find-rate", "--json").out
    )
    assert told["factor"] < told["lowest"]
    assert told["curve"][0]["factor"] == 0.001
    assert f"--set optimiser.rate={told['optimiser.rate']:g} " in ended.out
    given = ended.out.split()
    assert run("train", recipe, "--set", data, *given, "--out", str(out)).code == 0
    both = run("train", recipe, "--set", data, "--out", str(out), "--find-rate", "--resume")
    assert both.code == 2
    assert "--find-rate begins none" in both.err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to a process")
def test_sigterm_leaves_a_run_that_can_be_gone_on_with(recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*STUDIOLO, "train", recipe, "--out", str(out)]
    given = [f"--set=data.path={text_file(tmp_path)}", "--set=training.steps=100000"]
    process = subprocess.Popen([*command, *given], stderr=subprocess.PIPE, text=True)
    log = out / "training" / "log.jsonl"
    while not (log.exists() and log.stat().st_size):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume goes on from there" in told
