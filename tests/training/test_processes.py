"""Two real processes, by torchrun: what they agree on, and that their run is that of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from studiolo.bundle.manifest import hash_file
from studiolo.errors import InvalidRequestError
from studiolo.training.processes import ALONE, joined
from tests.training import several
from tests.training.conftest import ENVIRONMENT, LAUNCH, Several
from tests.training.small import text_file

KINDS = (
    "muon", "adamw", "average", "recompute", "answers", "preferences", "adapter",
    "adapted-preferences", "distil",
)  # fmt: skip


def test_alone_everything_is_nothing() -> None:
    tensor = torch.ones(3)
    ALONE.add_up([tensor])
    assert torch.equal(tensor, torch.ones(3))
    assert ALONE.first
    assert ALONE.summed(0.1, 2) == [0.1, 2]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.in_turn(lambda: 5) == 5
    assert list(ALONE.dealt("ab")) == [("a", True), ("b", True)]
    with pytest.raises(ZeroDivisionError):
        ALONE.first_alone(lambda: 1 / 0)


def test_without_a_launcher_one_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    with joined() as processes:
        assert processes is ALONE
    # A batch system may say so much, with nobody to meet.
    monkeypatch.setenv("WORLD_SIZE", "2")
    with joined() as processes:
        assert processes is ALONE


def test_a_process_without_a_gpu_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidRequestError, match="process 2 of this machine has no GPU"), joined():
        pass


def test_two_agree(two: Several) -> None:
    first, second = (told["agreement"] for told in two.told)
    for name in ("summed", "any", "alone", "added"):
        assert first[name] == second[name]
    assert first["summed"] == [1.0, 1.0]
    assert first["any"] == [True, False]
    assert first["added"] == [[[2.0 * n + 1] * 2] * n for n in (1, 2, 3)]
    assert (first["turn"], second["turn"]) == (0, 1)
    assert (first["made"], second["made"]) == ([1], [])
    assert first["dealt"] == [["a", True], ["c", True], ["e", True]]
    assert second["dealt"] == [["b", True], ["d", True], ["e", False]]


@pytest.mark.parametrize("kind", KINDS)
def test_two_take_the_steps_of_one(two: Several, kind: str) -> None:
    one, both = two.losses(kind), two.losses(f"{kind}-copies")
    assert len(one) > 6
    assert both == pytest.approx(one, abs=1e-5)
    assert (two.folder / f"{kind}-copies" / "bundle.json").exists()


def test_two_are_to_the_bit_one_that_does_the_halves_in_turn(two: Several) -> None:
    assert two.losses("muon-copies")[0] == two.losses("halves")[0]
    both, halves = (
        hash_file(two.folder / name / "model.safetensors").sha256
        for name in ("muon-copies", "halves")
    )
    assert both == halves


def test_one_asks_to_stop_and_both_do(two: Several) -> None:
    assert [told["stopped-copies"] for told in two.told] == [7, 7]
    several.trained(
        several.recipes(two.folder, "")["average"], two.folder / "stopped-copies", resume=True
    )
    assert two.losses("stopped-copies") == pytest.approx(two.losses("average"), abs=1e-5)


def test_what_one_began_two_go_on_with(two: Several) -> None:
    assert two.losses("began-alone-copies") == pytest.approx(two.losses("average"), abs=1e-5)


def test_errors_are_agreed_on_and_the_first_tells_them(two: Several) -> None:
    first, second = (told["failing"] for told in two.told)
    for told in (first, second):
        assert "step 3, batch 2: the loss of one is inf" in told["diverged"]
        assert "checkpoint is that of step 2" in told["diverged"]
        assert "3 blocks cannot be shared out evenly among 2" in told["uneven"]
    assert first["there"].startswith("InvalidRequestError: out: ")
    assert first["full"].startswith("NoSpaceError: ")
    assert "step-00000005" in first["full"]
    assert second["there"] == second["full"] == "FirstFailedError: the first process has failed"


RECIPE = """
name: rhyme
size: 2
model: {width: 32, heads: 2, context: 16}
training: {batch: 4, steps: 1000000}
watch: {evaluate: 1000, checkpoint: 10, tokens: 64, sample: 0}
"""


class Launched:
    """``studiolo train`` in two processes, as torchrun starts it."""

    def __init__(self, folder: Path, *more: str) -> None:
        (folder / "rhyme.yaml").write_text(RECIPE, encoding="utf-8")
        self.out = folder / "out"
        given = ["--set", f"data.path={text_file(folder)}", *more, "--out", str(self.out)]
        command = [*LAUNCH, "studiolo", "train", str(folder / "rhyme.yaml"), *given]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=ENVIRONMENT
        )

    def begun(self) -> None:
        """Wait until there is a checkpoint."""
        while not list(self.out.glob("training/checkpoints/*.safetensors")):
            assert self.process.poll() is None
            time.sleep(0.05)

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(i) for i in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def ended(self) -> str:
        """What it said, once it has gone; a hang is an error."""
        try:
            _, told = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return told


def test_what_is_wrong_is_said_once(tmp_path: Path) -> None:
    launched = Launched(tmp_path, "--set", "training.batch=3")
    told = launched.ended()
    assert launched.process.returncode
    assert told.count("error: training.batch: 3 blocks cannot be shared out evenly") == 1
    assert not launched.out.exists()


def interrupt(launched: Launched) -> None:
    """As a terminal does: to the launcher and to both."""
    os.killpg(launched.process.pid, signal.SIGINT)


def terminate(launched: Launched) -> None:
    launched.process.terminate()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("act", [interrupt, terminate])
def test_a_signal_ends_both_with_a_checkpoint(
    tmp_path: Path, act: Callable[[Launched], None]
) -> None:
    launched = Launched(tmp_path)
    launched.begun()
    act(launched)
    told = launched.ended()
    assert told.count("--resume goes on from there") == 1
    stopped = int(told.split("stopped after step ")[1].split(";")[0].replace(",", ""))
    assert (launched.out / f"training/checkpoints/step-{stopped:08}.safetensors").exists()


@pytest.mark.skipif(not Path("/proc").exists(), reason="no /proc to find processes by")
def test_one_is_killed_and_the_other_does_not_wait_for_ever(tmp_path: Path) -> None:
    launched = Launched(tmp_path)
    launched.begun()
    os.kill(launched.children()[1], signal.SIGKILL)
    assert "error: another process of this run has ended" in launched.ended()
