"""A recipe is carried out: data, network, loop, and at the end a bundle.

The bundle's folder is the run's: beside the model it holds ``training/`` with the recipe, the
log, the report and the checkpoints. Deliberately unknown here: terminals and arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from studiolo.bundle.manifest import Lineage
from studiolo.family.autoregressive import Autoregressive
from studiolo.training.checkpoint import Checkpoints
from studiolo.training.data import Blocks, TokenBatch
from studiolo.training.language import NextToken, new_decoder, optimiser_for
from studiolo.training.log import Log
from studiolo.training.loop import Course, Loop, Pace, Player, Watcher
from studiolo.training.publish import Facts, publish
from studiolo.training.recipe import Recipe
from studiolo.training.report import write_report
from studiolo.training.samples import continuation
from studiolo.training.schedule import factor
from studiolo.training.size import Plan, plan
from studiolo.training.source import Source, read_source
from studiolo.training.workshop import Workshop

SWEEP = 1 << 12
"""Tokens read at once in an evaluation: many, since nothing is kept for gradients."""


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
        self.source: Source = read_source(recipe.data)
        self.plan: Plan = plan(recipe, self.source.tokenizer.vocab_size)
        context = self.plan.config.context
        training, held_out = self.source.tokens.split(recipe.data.validation, context + 1)
        self.blocks = Blocks(training, block=context, batch=self.plan.batch, seed=recipe.seed)
        sweep = max(1, SWEEP // context)
        self.held_out = Blocks(held_out, block=context, batch=sweep, seed=recipe.seed)
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
        identity = {"recipe": recipe.digest, "data": self.source.digest}
        workshop = Workshop(self.folder, recipe, identity, resume=resume)
        torch.manual_seed(recipe.seed)
        decoder = new_decoder(plan.config, recipe.seed, self.device)
        model = NextToken(decoder)
        loop = self._loop(model, workshop.checkpoints)
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
            with torch.no_grad():
                loss = self.validation_loss(model)
            log.write(step=course.step, final=loss)
        facts = self._facts(course, loss)
        publish(self.folder, workshop.path, decoder, self.source.tokenizer, facts)
        write_report(workshop.report, workshop.log, recipe, plan, facts)
        return _result(course, loss, self.folder)

    def validation_loss(self, model: NextToken, limit: int | None = None) -> float:
        """Mean nats a token over all that is held out, or over about ``limit`` tokens of it."""
        total = count = 0.0
        for batch in self.held_out.sweep(limit):
            predicted = float((batch.targets >= 0).sum())
            total += float(model.loss(batch).total) * predicted
            count += predicted
        return total / count

    def _loop(self, model: NextToken, checkpoints: Checkpoints) -> Loop[TokenBatch]:
        recipe, plan = self.recipe, self.plan
        schedule = recipe.schedule
        optimiser = optimiser_for(
            model.decoder, recipe.optimiser, rate=plan.rate, matrix_rate=plan.matrix_rate
        )
        parameters = dict(model.decoder.named_parameters())
        return Loop(
            players=[Player("model", parameters, model.loss, optimiser)],
            batch=self.blocks.at,
            size=lambda batch: batch.inputs.numel(),
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
            evaluate=lambda: self.validation_loss(model, recipe.watch.tokens),
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

    def _facts(self, course: Course, loss: float) -> Facts:
        held_out = self.held_out.tokens
        bits = loss / 0.6931471805599453 * len(held_out) / self.source.byte_count(held_out)
        recipe = self.recipe
        return Facts(
            name=recipe.name,
            licence=self.source.licence,
            lineage=Lineage(data=(self.source.digest,), recipe=recipe.digest),
            quality={"validation_loss": loss, "validation_bits_per_byte": bits},
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
        tokenizer = run.source.tokenizer
        self._prompt = tokenizer.encode(run.recipe.watch.prompt) or [0]

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        """Nothing is to be done."""

    def evaluated(self, course: Course, validation: float) -> None:
        """As :meth:`Watcher.evaluated`."""
        count = self._run.recipe.watch.sample
        if not count:
            return
        made = continuation(self._model, self._prompt, count, self._run.recipe.seed)
        text = self._run.source.tokenizer.decode([*self._prompt, *made])
        self._log.write(step=course.step, sample=text)
        self._wrote(course.step, text)


def _result(course: Course, loss: float, bundle: Path | None) -> Result:
    speed = course.tokens / course.seconds if course.seconds else 0.0
    return Result(course.step, course.loss, loss, speed, course.seconds, bundle)
