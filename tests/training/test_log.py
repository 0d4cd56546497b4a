from __future__ import annotations

from pathlib import Path

from studiolo.training.log import LINES, Log, read_log
from studiolo.training.loop import Course


def test_steps_and_evaluations_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Log(path, 10, 0) as log:
        log.step(Course(step=1, smooth=0.04, tokens=64, seconds=0.5), 2.0, 0.7, 0.1)
        log.evaluated(Course(step=1, seconds=0.5), 1.9)
        log.write(step=1, sample="naïve\n")
    first, second, third = read_log(path)
    assert (first["loss"], first["norm"], first["factor"], first["tokens"]) == (2.0, 0.7, 0.1, 64)
    assert round(first["smooth"], 6) == 2.0
    assert second == {"step": 1, "validation": 1.9, "seconds": 0.5}
    assert third["sample"] == "naïve\n"


def test_of_a_long_run_about_a_thousand_steps_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Log(path, 5 * LINES, 0) as log:
        for step in range(1, 5 * LINES + 1):
            log.step(Course(step=step), 1.0, 1.0, 1.0)
    assert len(list(read_log(path))) == LINES


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Log(path, 10, 0) as log:
        for step in range(1, 8):
            log.step(Course(step=step), 1.0, 1.0, 1.0)
    with path.open("ab") as file:
        file.write(b'{"step": 8, "lo')  # killed while it wrote
    with Log(path, 10, 5) as log:
        log.step(Course(step=6), 1.0, 1.0, 1.0)
    assert [line["step"] for line in read_log(path)] == [1, 2, 3, 4, 5, 6]


def test_one_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert list(read_log(tmp_path / "none.jsonl")) == []
