from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from studiolo.training.loop import Course
from studiolo.training.run import Run
from studiolo.training.terminal import View, memory, peak_flops, watching
from tests.training.small import small_recipe, text_file


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(small_recipe(text_file(tmp_path)), tmp_path / "out")


def shown(view: View) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(view.drawn(Course(step=5, smooth=0.2, seconds=2.0, tokens=640), 0.75, 0.5))
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return written


def test_the_view_has_all_that_is_known(run: Run) -> None:
    view = View(run, Console(file=io.StringIO()), None)
    assert "validation" in shown(view)
    assert "–" in shown(view)
    view.evaluated(Course(step=5, seconds=2.0, tokens=640), 1.5)
    view.wrote(5, "a\x1b[31mb")
    text = shown(view)
    for fact in ("5 of 20", "1.5000", "0.750", "320 tokens/s", "0:06", "GB", "a [31mb"):
        assert fact in text
    assert "\x1b" not in text


def test_without_a_terminal_it_says_a_line_at_each_evaluation(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with watching(run) as view:
        view.step(Course(step=1), 1.0, 1.0, 1.0)
        view.evaluated(Course(step=5, smooth=0.2, seconds=2.0, tokens=640), 1.5)
    err = capsys.readouterr().err
    assert "training.steps = 20\n" in err
    assert "model.layers = 2  (derived)" in err
    assert "step 5 of 20: " in err
    assert "validation 1.5000, 320 tokens/s" in err


def test_on_a_terminal_the_view_is_live(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with watching(run) as view:
        view.step(Course(step=5, smooth=0.2, seconds=2.0, tokens=640), 1.0, 0.75, 1.0)
    assert "5 of 20" in capsys.readouterr().err


def test_what_the_machine_has() -> None:
    assert memory(torch.device("cpu")) > 10_000_000
    assert peak_flops(torch.device("cpu")) is None
