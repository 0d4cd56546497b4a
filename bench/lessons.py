"""What every trainer of ``training.py`` is told, what it tells, and how its loss is measured.

All read the same blocks in the same order and are judged on the same held-out blocks, each by its
own forward pass. The clock stands still while they are judged, and for nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from studiolo.training.data import Blocks
from studiolo.training.recipe import Recipe, read_recipe
from studiolo.training.size import Plan, plan
from studiolo.training.source import read_source

RECIPE = "shakespeare-char"
Found = TypeVar("Found")
JUDGED = 32_768
"""Held-out tokens that a loss on the way is measured on; that at the end is on all."""


@dataclass(frozen=True)
class Lesson:
    """Train ``steps`` steps at the peak ``rate`` (None: the trainer's own), judge every so many."""

    steps: int
    every: int
    rate: float | None = None


@dataclass
class Report:
    """``points``: steps, seconds and validation loss (nats a token); ``loss``: on all, at the end.

    ``seconds``: from the first step's beginning to the last one's end.
    """

    points: list[tuple[int, float, float]] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0
    loss: float = 0.0


class Trainer(Protocol):
    """A way to train; each lesson begins with a new model."""

    version: str

    def train(self, lesson: Lesson) -> Report:
        """Carry one out."""
        ...


class Clock:
    """Runs from when it is made; stands still within :meth:`judging`."""

    def __init__(self) -> None:
        self._start, self._paused = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """Run so far."""
        return time.perf_counter() - self._start - self._paused

    def judging(self, judge: Callable[[], Found]) -> tuple[float, Found]:
        """The seconds until now, and what ``judge`` finds, which takes no time."""
        began, seconds = time.perf_counter(), self.seconds
        found = judge()
        self._paused += time.perf_counter() - began
        return seconds, found


class Material:
    """The recipe, its data and the network's shape, for ``steps`` steps of training."""

    def __init__(self, path: str, steps: int) -> None:
        changes = [f"data.path={path}", f"training.steps={steps}"]
        self.recipe: Recipe = read_recipe(RECIPE, changes)
        source = read_source(self.recipe.data)
        self.plan: Plan = plan(self.recipe, source.tokenizer.vocab_size)
        context = self.plan.block
        learnt, held_out = source.tokens.split(self.recipe.data.validation, context + 1)
        self.blocks = Blocks(learnt, block=context, batch=self.plan.batch, seed=self.recipe.seed)
        self._held_out = Blocks(held_out, block=context, batch=64, seed=0)

    @torch.no_grad()
    def loss(self, scores: Callable[[Tensor], Tensor], limit: int | None = None) -> float:
        """Mean nats a token of the held-out text; ``scores``: ids ``[B, T]`` to ``[B, T, V]``."""
        total, count = 0.0, 0
        for batch in self._held_out.sweep(limit):
            found, wanted = scores(batch.inputs).flatten(0, 1), batch.targets.flatten()
            total += float(F.cross_entropy(found.float(), wanted, reduction="sum"))
            count += len(wanted)
        return total / count


def data_path(path: str) -> Path:
    """The text's place; raises ``FileNotFoundError`` that says where it comes from."""
    found = Path(path).expanduser()
    if not found.is_file():
        raise FileNotFoundError(
            f"{path} is not there: name the file of the tinyshakespeare text (1.1 MB, public "
            "domain; karpathy/char-rnn, data/tinyshakespeare/input.txt)"
        )
    return found
