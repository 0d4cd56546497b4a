from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from rich.console import Console

from bench.contestants import TRAINERS
from bench.contestants.lean_trainer import CONTESTANT as LEAN
from bench.contestants.studiolo_trainer import CONTESTANT as STUDIOLO
from bench.contestants.transformers_trainer import CONTESTANT as TRANSFORMERS
from bench.lessons import Clock, Lesson, Material, Report, Trainer, data_path
from bench.measure import Standing
from bench.training import PEER, Course, numbers, seconds_to, shown, sooner, table_of, tuned
from studiolo.errors import InvalidRequestError
from tests.training.small import text_file


def course(name: str, *reports: Report) -> Course:
    entrant = next(each for each in TRAINERS if each.name == name)
    return Course(entrant, Standing(name, "1.0"), list(reports))


FAST = Report([(10, 1.0, 2.5), (20, 2.0, 1.5)], 2.0, 2000, 1.51)
SLOW = Report([(10, 4.0, 3.0), (20, 8.0, 2.0)], 8.0, 2000, 2.01)


def test_the_time_to_a_loss_is_that_of_the_first_point_at_it() -> None:
    assert seconds_to(SLOW, 2.5) == 8.0
    assert seconds_to(SLOW, 3.0) == 4.0
    assert seconds_to(SLOW, 1.9) is None


def test_times_are_compared_with_the_peers_own() -> None:
    courses = {"studiolo": course("studiolo", FAST), PEER: course(PEER, SLOW)}
    assert sooner(courses) == {"studiolo": [0.25], PEER: [1.0]}
    console = Console(width=160, record=True)
    console.print(table_of(courses, "title"))
    text = console.export_text()
    for part in ("1,000 (1,000 – 1,000)", "0.25 (0.25 – 0.25)", "2.0100", "0.25"):
        assert part in text
    behind = {"studiolo": course("studiolo", SLOW), PEER: course(PEER, FAST)}
    console.print(table_of(behind, "title"))
    assert "not reached" in console.export_text()


def test_the_best_rate_is_chosen() -> None:
    losses = {0.1: 3.0, 0.2: 1.0, 0.3: 2.0}
    said: list[str] = []
    found = tuned(said.append, lambda rate: Report(loss=losses[rate]), list(losses))
    assert found == 0.2
    assert len(said) == 3


def test_judging_takes_no_time() -> None:
    clock = Clock()
    clock._start -= 5.0
    seconds, found = clock.judging(lambda: 1.5)
    assert found == 1.5
    assert 5.0 <= seconds <= clock.seconds < 6.0


@pytest.mark.parametrize("text", ["", "0", "1,2", "x", "0.1,"])
def test_rates_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="rates"):
        numbers(text)


def test_a_text_that_is_not_there_says_which_is_meant(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tinyshakespeare"):
        data_path(str(tmp_path / "none"))
    assert shown([], ".1f") == "–"


def test_scores_of_nothing_lose_as_much_as_the_alphabet_is_large(tmp_path: Path) -> None:
    material = Material(str(text_file(tmp_path)), 5)
    size = material.plan.config.vocabulary
    loss = material.loss(lambda ids: torch.zeros(*ids.shape, size))
    assert loss == pytest.approx(float(torch.tensor(size).log()), abs=1e-5)
    knowing = material.loss(lambda ids: 100.0 * F.one_hot(ids.roll(-1, 1), size))
    assert knowing < 100.0 / material.plan.config.context + 1e-3


@pytest.mark.parametrize("kind", [STUDIOLO, TRANSFORMERS, LEAN])
def test_every_trainer_learns_and_tells(tmp_path: Path, kind: type[Trainer]) -> None:
    if kind is TRANSFORMERS:
        pytest.importorskip("accelerate")
    threads = torch.get_num_threads()
    report = kind(str(text_file(tmp_path)), threads).train(Lesson(steps=8, every=4))  # type: ignore[call-arg]
    assert [step for step, _, _ in report.points] == [4, 8]
    assert report.points[0][1] < report.points[1][1]
    assert report.seconds > 0
    assert report.tokens == 8 * 12 * 64
    assert report.points[1][2] < report.points[0][2] < 3.5
    assert report.loss == pytest.approx(report.points[1][2], abs=0.2)
