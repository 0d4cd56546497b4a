"""A whole run, in seconds: what it makes, and that it makes the same when it was stopped."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

import studiolo
from studiolo.bundle.manifest import BundleManifest, hash_file
from studiolo.errors import InvalidRequestError
from studiolo.training.log import read_log
from studiolo.training.run import Result, Run
from studiolo.training.source import read_source
from tests.training.small import TEXT, small_recipe, text_file


def carried_out(
    folder: Path, out: str, *, resume: bool = False, steps: int | None = None
) -> Result:
    """``steps``: after so many it is stopped."""
    run, taken = Run(small_recipe(text_file(folder)), folder / out), 0

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken == steps

    return run.carry_out(resume=resume, stop=stop)


def test_a_run_ends_in_a_bundle_that_writes_and_scores(tmp_path: Path) -> None:
    result = carried_out(tmp_path, "out")
    assert result.bundle == tmp_path / "out"
    assert result.steps == 20
    model = studiolo.load(str(result.bundle), arithmetic="float", device="cpu")
    held_out = TEXT[len(TEXT) - len(TEXT) // 10 :][:17]
    assert model.score(held_out).token_count == 16
    assert len(model.generate("The", max_tokens=8, seed=1).text) == 8
    manifest = BundleManifest.model_validate_json((result.bundle / "bundle.json").read_text())
    assert manifest.quality["validation_loss"] == result.validation_loss
    assert manifest.lineage.recipe == small_recipe(text_file(tmp_path)).digest


def test_transformers_loads_it_and_finds_the_same_loss(tmp_path: Path) -> None:
    result = carried_out(tmp_path, "out")
    assert result.bundle is not None
    ids = read_source(small_recipe(text_file(tmp_path)).data).tokens.split(0.1, 17)[1].ids
    blocks = torch.tensor(ids[: len(ids) // 16 * 16 + 1].astype("int64")).unfold(0, 17, 16)
    other = AutoModelForCausalLM.from_pretrained(result.bundle, dtype=torch.float32)
    with torch.no_grad():
        scores = other(blocks[:, :-1]).logits
    loss = F.cross_entropy(scores.flatten(0, 1), blocks[:, 1:].flatten())
    assert result.validation_loss == pytest.approx(float(loss), abs=1e-5)


def test_its_log_has_what_was_asked_for(tmp_path: Path) -> None:
    carried_out(tmp_path, "out")
    lines = list(read_log(tmp_path / "out" / "training" / "log.jsonl"))
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 21))
    assert [line["step"] for line in lines if "validation" in line] == [5, 10, 15, 20]
    assert all(len(line["sample"]) == len("The") + 24 for line in lines if "sample" in line)
    assert (tmp_path / "out" / "training" / "report.html").read_text().count("<svg") == 2


@pytest.mark.parametrize("steps", [1, 5, 13])
def test_stopped_and_gone_on_with_it_makes_the_same_bytes(tmp_path: Path, steps: int) -> None:
    carried_out(tmp_path, "whole")
    stopped = carried_out(tmp_path, "stopped", steps=steps)
    assert (stopped.steps, stopped.bundle) == (steps, None)
    assert carried_out(tmp_path, "stopped", resume=True).bundle is not None
    assert weights(tmp_path / "whole") == weights(tmp_path / "stopped")


def test_another_recipe_does_not_go_on_with_it(tmp_path: Path) -> None:
    carried_out(tmp_path, "out", steps=2)
    other = small_recipe(text_file(tmp_path), seed=7)
    with pytest.raises(InvalidRequestError, match="another recipe"):
        Run(other, tmp_path / "out").carry_out(resume=True)


def test_too_little_text_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("a cat")
    with pytest.raises(InvalidRequestError, match="one block needs 17"):
        Run(small_recipe(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def weights(folder: Path) -> str:
    return hash_file(folder / "model.safetensors").sha256


SCRIPT = """
import sys
from pathlib import Path
import torch
from studiolo.training.run import Run
from tests.training.small import small_recipe
torch.set_num_threads(1)
Run(small_recipe(Path(sys.argv[1])), Path(sys.argv[2])).carry_out(resume=True)
"""


def started(text: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SCRIPT, str(text), str(out)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_at_any_moment_it_ends_in_the_same_weights(
    tmp_path: Path, proof: Callable[..., int]
) -> None:
    """SIGKILL at a random moment of a training run: gone on with, it ends in the same bits."""
    kills, draw = proof("training-kills", short=2, full=100), random.Random(1)
    text = text_file(tmp_path)
    began = time.monotonic()
    assert started(text, tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - began
    wanted, done = weights(tmp_path / "whole"), 0
    while done < kills:
        out = tmp_path / f"run-{done}"
        for _ in range(min(2, kills - done)):
            run = started(text, out)
            # The first half of its time goes into being loaded.
            time.sleep(draw.uniform(0.4, 1.0) * seconds)
            run.send_signal(signal.SIGKILL)
            run.wait()
            done += 1
        assert started(text, out).wait() == 0
        assert weights(out) == wanted
        lines = read_log(out / "training" / "log.jsonl")
        assert [line["step"] for line in lines if "loss" in line] == list(range(1, 21))
