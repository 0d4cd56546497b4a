"""Studiolo: ``studiolo train adapt-lora`` as it is, but that it evaluates once, at the end."""

from __future__ import annotations

from pathlib import Path

import torch

import studiolo
from bench.adapting import Exercise, Outcome
from studiolo.training.loop import Course
from studiolo.training.recipe import read_recipe
from studiolo.training.run import Run


class _Notes:
    """Notes what the steps took, without what is done between them; a watcher."""

    outcome = Outcome(0.0, 0)

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        self.outcome = Outcome(course.seconds, course.step)

    def evaluated(self, course: Course, validation: float) -> None:
        """Nothing is to be noted."""


class StudioloAdapter:
    """See :class:`bench.adapting.Adapter`. ``model``: the directory of the model."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = studiolo.__version__
        self._model = model

    def adapt(self, exercise: Exercise) -> Outcome:
        """The clock counts whole steps, with what they read."""
        changes = [
            f"start.model={self._model}",
            f"start.adapter={exercise.rank}",
            f"data.path={exercise.data}",
            "data.validation=0.05",
            f"training.epochs={exercise.epochs}",
            "watch.sample=0",
            "watch.evaluate=1000000",
            "watch.checkpoint=1000000",
        ]
        if exercise.rate is not None:
            changes.append(f"optimiser.rate={exercise.rate}")
        notes = _Notes()
        Run(read_recipe("adapt-lora", changes), Path(exercise.out)).carry_out(
            resume=False, watchers=[notes]
        )
        return notes.outcome


CONTESTANT = StudioloAdapter
