from __future__ import annotations

import sys
from pathlib import Path

import pytest

from studiolo.errors import MissingExtraError
from studiolo.training.log import read_log
from studiolo.training.run import Run
from studiolo.training.tensorboard import FOLDER, Events
from tests.training.small import small_recipe, text_file


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    """As TensorBoard itself reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return [(each.step, each.value) for each in found.Scalars(name)]


def test_the_events_are_those_of_the_log_also_when_it_was_stopped(tmp_path: Path) -> None:
    recipe = small_recipe(text_file(tmp_path), watch={"tensorboard": True}, training={"steps": 12})
    out, taken = tmp_path / "out", 0

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken == 7

    Run(recipe, out).carry_out(resume=False, stop=stop)
    Run(recipe, out).carry_out(resume=True)
    lines = list(read_log(out / "training" / "log.jsonl"))
    for tag, name in (("training/loss", "loss"), ("validation/loss", "validation")):
        found = scalars(out / "training" / FOLDER, tag)
        wanted = [(line["step"], line[name]) for line in lines if name in line]
        assert [step for step, _ in found] == [step for step, _ in wanted]
        assert [v for _, v in found] == pytest.approx([v for _, v in wanted], rel=1e-6)


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'studiolo\[tensorboard\]'"):
        Events(tmp_path, 0)
    assert not (tmp_path / FOLDER).exists()


def test_it_is_not_written_unasked(tmp_path: Path) -> None:
    recipe = small_recipe(text_file(tmp_path), training={"steps": 2})
    Run(recipe, tmp_path / "out").carry_out(resume=False)
    assert not (tmp_path / "out" / "training" / FOLDER).exists()
