"""A recipe is carried out: data, network, loop, and at the end a bundle or an adapter.

The result's folder is the run's: beside the model it holds ``training/`` with the recipe, the
log, the report and the checkpoints. Deliberately unknown here: terminals and arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from studiolo.bundle.derived_licence import derived
from studiolo.bundle.manifest import Lineage
from studiolo.family.autoregressive import Autoregressive
from studiolo.nn.decoder import Decoder
from studiolo.training.checkpoint import Checkpoints
from studiolo.training.language import matrices_of, new_decoder, optimiser_for
from studiolo.training.log import Log
from studiolo.training.loop import Course, Loop, Pace, Player, Watcher
from studiolo.training.lowrank import low_rank, updates
from studiolo.training.objective import Batch, Learner
from studiolo.training.objectives import read_objective
from studiolo.training.publish import Facts, publish, publish_adapter
from studiolo.training.recipe import Recipe
from studiolo.training.report import write_report
from studiolo.training.samples import continuation
from studiolo.training.schedule import factor
from studiolo.training.size import Plan, plan
from studiolo.training.start import read_start
from studiolo.training.workshop import Workshop


@dataclass(frozen=True)
class Result:
    """What came of a run; ``bundle`` is None if it was stopped before its end."""

    steps: int
    train_loss: float
    validation_loss: float
    tokens_per_second: float
    seconds: float
    bundle: Path | None


class Run:
    """One recipe, carried out in one folder. To make one reads the data and plans; nothing more."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        start = recipe.start.model
        self.start = None if start is None else read_start(start)
        teacher = recipe.objective.teacher
        self.teacher = None if teacher is None else read_start(teacher)
        self.objective = read_objective(recipe, self.start, self.teacher)
        self.parents = [each for each in (self.start, self.teacher) if each is not None]
        self.licence = derived(
            {"the data": self.objective.licence}
            | {f"the model {each.name}": each.licence for each in self.parents}
        )
        self.tokenizer = self.objective.tokenizer
        parent = None if self.start is None else self.start.config
        size = round(self.objective.size * (1 - recipe.data.validation))
        self.plan: Plan = plan(recipe, self.tokenizer.vocab_size, parent, size)
        self.parts = self.objective.parts(recipe, self.plan)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def carry_out(
        self,
        *,
        resume: bool,
        watchers: Sequence[Watcher] = (),
        wrote: Callable[[int, str], None] = lambda step, text: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Result:
        """Train, from the newest checkpoint if there is one and ``resume``, and publish.

        ``wrote`` is given samples and their steps; ``stop`` is asked after each step. Raises what
        :class:`Workshop`, :meth:`Loop.run` and :func:`publish` raise.
        """
        recipe, plan = self.recipe, self.plan
        identity = {"recipe": recipe.digest, "data": self.objective.digest}
        identity |= {f"model {each.name}": each.digest for each in self.parents}
        workshop = Workshop(self.folder, recipe, identity, resume=resume)
        torch.manual_seed(recipe.seed)
        decoder = self._decoder()
        parameters = dict(decoder.named_parameters())
        if recipe.start.adapter is not None:
            parameters = low_rank(decoder, recipe.start.adapter, recipe.seed)
        learner = self.objective.learner(decoder, recipe)
        loop = self._loop(decoder, learner, parameters, workshop.checkpoints)
        saved = workshop.checkpoints.newest()
        if saved is not None:
            loop.resume(saved)
        with Log(workshop.log, plan.steps, loop.course.step) as log:
            writer = _Writer(self, Autoregressive(decoder), log, wrote)
            loop.watchers, loop.stop = (log, *watchers, writer), stop
            finished = loop.run()
            course = loop.course
            if not finished:
                return _result(course, course.best, None)
            loop.keep_best()
            told = self.evaluation(learner)
            log.write(step=course.step, final=told["loss"])
        facts = self._facts(course, told)
        if self.start is not None and recipe.start.adapter is not None:
            changes, base = updates(decoder, parameters), self.start.name
            publish_adapter(self.folder, workshop.path, decoder.config, changes, base, facts)
        else:
            publish(self.folder, workshop.path, decoder, self.tokenizer, facts)
        write_report(workshop.report, workshop.log, recipe, plan, facts)
        return _result(course, told["loss"], self.folder)

    def evaluation(self, learner: Learner[Any], limit: int | None = None) -> dict[str, float]:
        """Means over all that is held out, or over about ``limit`` tokens of it."""
        totals: dict[str, float] = {}
        count = 0
        for batch in self.parts.held_out.sweep(limit):
            count += batch.weight
            for name, value in learner.judged(batch).items():
                totals[name] = totals.get(name, 0.0) + value * batch.weight
        return {name: total / count for name, total in totals.items()}

    def _decoder(self) -> Decoder:
        if self.start is not None:
            return self.start.decoder(self.device)
        return new_decoder(self.plan.config, self.recipe.seed, self.device)

    def _loop(
        self,
        decoder: Decoder,
        learner: Learner[Any],
        parameters: Mapping[str, nn.Parameter],
        checkpoints: Checkpoints,
    ) -> Loop[Batch]:
        recipe, plan = self.recipe, self.plan
        schedule = recipe.schedule
        optimiser = optimiser_for(
            parameters,
            matrices_of(decoder) if plan.optimiser == "muon" else {},
            recipe.optimiser,
            rate=plan.rate,
            matrix_rate=plan.matrix_rate,
        )
        return Loop(
            players=[Player("model", parameters, learner.loss, optimiser)],
            batch=self.parts.training.at,
            size=lambda batch: batch.tokens,
            pace=Pace(
                steps=plan.steps,
                factor=partial(
                    factor,
                    schedule.kind,
                    steps=plan.steps,
                    warmup=plan.warmup,
                    decay=schedule.decay,
                    final=schedule.final,
                ),
                evaluate=plan.evaluate,
                checkpoint=plan.checkpoint,
                accumulate=plan.accumulate,
                clip=recipe.optimiser.clip,
                patience=recipe.watch.patience,
                average=recipe.training.average,
                precision=self._precision(),
            ),
            evaluate=lambda: self.evaluation(learner, recipe.watch.tokens)["loss"],
            checkpoints=checkpoints,
        )

    def _precision(self) -> torch.dtype | None:
        """bfloat16 where asked for, or where a GPU has it: on CPUs it has not been seen to pay."""
        match self.recipe.training.precision:
            case "bfloat16":
                return torch.bfloat16
            case "float32":
                return None
            case "auto":
                able = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
                return torch.bfloat16 if able else None

    def _facts(self, course: Course, told: Mapping[str, float]) -> Facts:
        recipe = self.recipe
        return Facts(
            name=recipe.name,
            licence=self.licence,
            lineage=Lineage(
                parents=tuple(each.digest for each in self.parents),
                data=(self.objective.digest,),
                recipe=recipe.digest,
            ),
            quality=self.objective.quality(self.parts, told),
            details={
                "trained for": f"{course.step:,} steps, {course.tokens:,} tokens, "
                f"{course.seconds:,.0f} s",
                "weights": f"those after step {course.best_step:,}, the best on the way",
                "training loss": f"{course.loss:.4f} nats a token, at the end",
            },
        )


class _Writer:
    """Has the model write something after each evaluation."""

    def __init__(
        self, run: Run, model: Autoregressive, log: Log, wrote: Callable[[int, str], None]
    ) -> None:
        self._run, self._model, self._log, self._wrote = run, model, log, wrote
        self._prompt = run.objective.prompt(run.recipe)

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        """Nothing is to be done."""

    def evaluated(self, course: Course, validation: float) -> None:
        """As :meth:`Watcher.evaluated`."""
        count = self._run.recipe.watch.sample
        if not count:
            return
        tokenizer = self._run.tokenizer
        made = continuation(self._model, self._prompt, count, self._run.recipe.seed)
        if self._run.recipe.objective.kind != "text":  # an answer has an end
            ends = [i for i, token in enumerate(made) if token in tokenizer.eos_ids]
            made = made[: ends[0]] if ends else made
        text = tokenizer.decode([*self._prompt, *made])
        self._log.write(step=course.step, sample=text)
        self._wrote(course.step, text)


def _result(course: Course, loss: float, bundle: Path | None) -> Result:
    speed = course.tokens / course.seconds if course.seconds else 0.0
    return Result(course.step, course.loss, loss, speed, course.seconds, bundle)
