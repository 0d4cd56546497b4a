"""The one training loop: players, batches, steps, evaluations, checkpoints.

A player is parameters, a loss and an optimiser. A language model has one; adversaries have two,
who move in turn in each step. The loop knows the contract's ``Loss`` and no family. What it reads
is a function from a batch's number to a batch, so that the position in the data is one number.

Everything that decides how a run goes on is in its state: weights, averages, optimisers, random
states, and the best so far. A run that was killed and resumed does to the bit what it would have
done. Several processes take each step together: every one its share of each batch, whose gradients
are added up. Deliberately unknown here: recipes, text, and what is shown to whom.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from studiolo.errors import StudioloError
from studiolo.family.contract import Loss
from studiolo.training.average import Average
from studiolo.training.checkpoint import Checkpoints, Saved
from studiolo.training.optimiser import Optimiser, clip
from studiolo.training.processes import ALONE, Processes
from studiolo.training.shards import as_part, is_split, laid, local, whole
from studiolo.training.tensor_file import in_order

Batch = TypeVar("Batch")
SMOOTHING = 0.98


class DivergedError(StudioloError):
    """The loss or a gradient is no finite number any more."""


@dataclass(frozen=True)
class Player(Generic[Batch]):
    """Who moves: its parameters by name, what it minimises, and how."""

    name: str
    parameters: Mapping[str, nn.Parameter]
    loss: Callable[[Batch], Loss]
    optimiser: Optimiser


@dataclass(frozen=True)
class Pace:
    """How long and how often. ``precision``: what products are made in; None: as the weights are.

    ``factor``: of the peak rate, by step. ``evaluate``, ``checkpoint``: steps between.
    ``patience``: evaluations without gain after which the run stops.
    """

    steps: int
    factor: Callable[[int], float]
    evaluate: int
    checkpoint: int
    accumulate: int = 1
    clip: float | None = None
    patience: int | None = None
    average: float | None = None
    precision: torch.dtype | None = None


@dataclass
class Course:
    """Where a run is. ``smooth``: the mean loss of late; ``seconds``: spent in steps alone."""

    step: int = 0
    smooth: float = 0.0
    seconds: float = 0.0
    tokens: int = 0
    best: float = math.inf
    best_step: int = -1
    waited: int = 0

    @property
    def loss(self) -> float:
        """The training loss of late, each earlier step counting 2 % less."""
        return self.smooth / (1 - SMOOTHING**self.step) if self.step else math.nan

    def values(self) -> dict[str, Any]:
        """As JSON can hold it; infinity is None there."""
        return {**vars(self), "best": None if math.isinf(self.best) else self.best}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Course:
        """From :meth:`values`."""
        kept = {name: values[name] for name in cls.__dataclass_fields__}
        return cls(**{**kept, "best": math.inf if kept["best"] is None else kept["best"]})


class Watcher(Protocol):
    """Who is told how a run goes on."""

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        """After each step. ``norm``: of the gradients before clipping; ``rate``: its factor."""

    def evaluated(self, course: Course, validation: float) -> None:
        """After each evaluation."""


@dataclass
class Loop(Generic[Batch]):
    """One run. ``evaluate``: the validation loss of the weights as they stand.

    ``size``: tokens, or what else is counted, of a batch. ``stop``: asked after each step whether
    to end early. ``share``: of a batch, what this process does, and its part of the batch's loss.
    """

    players: Sequence[Player[Batch]]
    batch: Callable[[int], Batch]
    size: Callable[[Batch], int]
    pace: Pace
    evaluate: Callable[[], float]
    checkpoints: Checkpoints
    watchers: Sequence[Watcher] = ()
    stop: Callable[[], bool] = lambda: False
    course: Course = field(default_factory=Course)
    processes: Processes = ALONE
    share: Callable[[Batch], tuple[Batch, float]] = lambda batch: (batch, 1.0)

    def __post_init__(self) -> None:
        self._weights: dict[str, nn.Parameter] = {
            f"{player.name}.{name}": parameter
            for player in self.players
            for name, parameter in player.parameters.items()
        }
        decay = self.pace.average
        here = {name: local(weight.detach()) for name, weight in self._weights.items()}
        self.average = None if decay is None else Average(here, decay)
        device = next(iter(self._weights.values())).device.type
        self._cast = (
            nullcontext()
            if self.pace.precision is None
            else torch.autocast(device, dtype=self.pace.precision)
        )

    def resume(self, saved: Saved) -> None:
        """Go on from a checkpoint of this run."""
        tensors = {name: laid(saved.tensors[name], like) for name, like in self._tensors().items()}
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(tensors[f"weights.{name}"])
            if self.average is not None:
                for name, value in self.average.values.items():
                    value.copy_(local(tensors[f"average.{name}"]))
            for player in self.players:
                prefix = f"optimiser.{player.name}."
                player.optimiser.restore(
                    {
                        name.removeprefix(prefix): tensor
                        for name, tensor in tensors.items()
                        if name.startswith(prefix)
                    }
                )
        torch.set_rng_state(tensors["random.cpu"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        self.course = Course.of(saved.values)

    def run(self) -> bool:
        """Train to the end; False if it was stopped before, with a checkpoint to go on from.

        Raises :class:`DivergedError` for a loss that is not finite, and what
        :meth:`Checkpoints.save` raises; the last checkpoint is then intact.
        """
        course, pace = self.course, self.pace
        while course.step < pace.steps and not self._given_up:
            self.step()
            last = course.step == pace.steps
            due = course.step % pace.evaluate == 0 or last
            if due:
                self._evaluate()
            stopped = self.processes.any(self.stop())
            if due or last or stopped or course.step % pace.checkpoint == 0 or self._given_up:
                self.save()
            if stopped and not last:
                return False
        return True

    @property
    def _given_up(self) -> bool:
        patience = self.pace.patience
        return patience is not None and self.course.waited >= patience

    def step(self) -> None:
        """Take one; raises :class:`DivergedError`."""
        began = time.perf_counter()
        course, pace = self.course, self.pace
        factor = pace.factor(course.step)
        total = largest = 0.0
        for player in self.players:
            parameters = list(player.parameters.values())
            copies = [parameter for parameter in parameters if not is_split(parameter)]
            for portion in range(pace.accumulate):
                number = course.step * pace.accumulate + portion
                batch = self.batch(number)
                mine, part = self.share(batch)
                with self._cast:
                    loss = player.loss(mine).total
                (value,) = self.processes.summed(float(loss.detach()) * part)
                if not math.isfinite(value):
                    raise self._diverged(number, f"the loss of {player.name} is {value}")
                scaled = loss if part == 1 else loss * part
                scaled = scaled / pace.accumulate if pace.accumulate > 1 else scaled
                # Split parameters are no leaves: those are what is gathered of them.
                scaled.backward(inputs=copies or None)  # type: ignore[no-untyped-call]
                total += value / pace.accumulate / len(self.players)
                if player is self.players[0]:
                    course.tokens += self.size(batch)
            self.processes.add_up([each.grad for each in copies if each.grad is not None])
            norm = float(clip(parameters, pace.clip))
            if not math.isfinite(norm):
                raise self._diverged(number, f"the gradient of {player.name} has the norm {norm}")
            player.optimiser.step(factor)
            for parameter in parameters:
                parameter.grad = None
            largest = max(largest, norm)
        if self.average is not None:
            self.average.update(course.step)
        course.step += 1
        course.smooth = SMOOTHING * course.smooth + (1 - SMOOTHING) * total
        course.seconds += time.perf_counter() - began
        for watcher in self.watchers:
            watcher.step(course, total, largest, factor)

    def _diverged(self, batch: int, what: str) -> DivergedError:
        kept = self.checkpoints.steps()
        where = f"that of step {kept[-1]:,}" if kept else "none yet"
        return DivergedError(
            f"step {self.course.step + 1:,}, batch {batch:,}: {what}; "
            f"the last good checkpoint is {where}",
            remedy="Lower the rates (optimiser.rate, optimiser.matrix_rate), lengthen "
            "schedule.warmup, or look at the data of that batch.",
        )

    def _evaluate(self) -> None:
        course = self.course
        with torch.no_grad(), self._cast, self.standing():
            validation = self.evaluate()
        if validation < course.best:
            course.best, course.best_step, course.waited = validation, course.step, 0
        else:
            course.waited += 1
        for watcher in self.watchers:
            watcher.evaluated(course, validation)

    def standing(self) -> Any:
        """A context in which the weights are those that count: the average, if there is one."""
        return nullcontext() if self.average is None else self.average.worn()

    def save(self) -> None:
        """Write a checkpoint; raises :class:`DivergedError` if a weight is not finite."""
        norms = torch._foreach_norm([local(weight.detach()) for weight in self._weights.values()])
        if self.processes.any(not math.isfinite(float(torch.stack(norms).sum()))):
            raise self._diverged(
                self.course.step, "a weight is no finite number after the step before"
            )
        tensors, course = in_order(self._tensors()), self.course
        bodies = map(whole, tensors.values())
        self.processes.first_alone(
            lambda: self.checkpoints.save(
                course.step, tensors, course.values(), best=course.best_step, bodies=bodies
            ),
            # What is split is gathered with the help of all, also after a failure.
            meanwhile=lambda: deque(bodies, 0),
        )

    def _tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint holds, by name; shares memory with what is in use."""
        tensors: dict[str, Tensor] = {f"weights.{n}": w.detach() for n, w in self._weights.items()}
        if self.average is not None:
            tensors |= {
                f"average.{n}": as_part(v, self._weights[n]) for n, v in self.average.values.items()
            }
        for player in self.players:
            prefix = f"optimiser.{player.name}."
            tensors |= {prefix + n: t for n, t in player.optimiser.state().items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        return tensors

    def keep_best(self) -> None:
        """Make the weights those of the best evaluation; to be called when the run has ended."""
        best = self.checkpoints.load(self.course.best_step)
        kind = "weights" if self.average is None else "average"
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(laid(best.tensors[f"{kind}.{name}"], weight))
