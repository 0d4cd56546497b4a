"""Studiolo: ``studiolo train`` as it is, with its log, its checkpoints and its optimiser."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

import studiolo
from bench.lessons import JUDGED, Clock, Lesson, Material, Report
from studiolo.training.loop import Course
from studiolo.training.objective import Learner
from studiolo.training.recipe import read_recipe
from studiolo.training.run import Run


class _Timed(Run):
    """A run whose evaluations take no time."""

    clock: Clock | None = None

    def evaluation(self, learner: Learner[Any], limit: int | None = None) -> dict[str, float]:
        if self.clock is None:  # the run has ended
            return super().evaluation(learner, limit)
        return self.clock.judging(lambda: super(_Timed, self).evaluation(learner, limit))[1]


class _Notes:
    """Notes the points; a watcher of the run."""

    def __init__(self, run: _Timed, steps: int) -> None:
        self.report, self._run, self._steps = Report(), run, steps

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        if self._run.clock is None:
            raise RuntimeError("the clock has been stopped before the end")
        if course.step == self._steps:
            self.report.seconds, self.report.tokens = self._run.clock.seconds, course.tokens

    def evaluated(self, course: Course, validation: float) -> None:
        if self._run.clock is None:
            raise RuntimeError("the clock has been stopped before the end")
        self.report.points.append((course.step, self._run.clock.seconds, validation))
        if course.step == self._steps:
            self._run.clock = None


class StudioloTrainer:
    """See :class:`bench.lessons.Trainer`. ``model`` is the text's path."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = studiolo.__version__
        self._path = model

    def train(self, lesson: Lesson) -> Report:
        """The clock starts before the network is made."""
        material = Material(self._path, lesson.steps)
        watch = [f"watch.evaluate={lesson.every}", f"watch.tokens={JUDGED}", "watch.sample=0"]
        changes = [f"data.path={self._path}", f"training.steps={lesson.steps}", *watch]
        with tempfile.TemporaryDirectory() as folder:
            run = _Timed(read_recipe(material.recipe.name, changes), Path(folder) / "out")
            notes = _Notes(run, lesson.steps)
            run.clock = Clock()
            result = run.carry_out(resume=False, watchers=[notes])
        notes.report.loss = result.validation_loss
        return notes.report


CONTESTANT = StudioloTrainer
