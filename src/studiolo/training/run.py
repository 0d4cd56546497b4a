"""A recipe is carried out: data, network, loop, and at the end a bundle or an adapter.

The result's folder is the run's: beside the model it holds ``training/`` with the recipe, the
log, the report and the checkpoints. Of several processes the first alone writes there, and all
take part in what is computed. Deliberately unknown here: terminals and arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
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
from studiolo.training.processes import ALONE, Processes
from studiolo.training.publish import Facts, publish, publish_adapter
from studiolo.training.recipe import Recipe
from studiolo.training.recompute import recompute
from studiolo.training.report import write_report
from studiolo.training.samples import continuation
from studiolo.training.schedule import factor
from studiolo.training.shards import settle, shard, whole_copy
from studiolo.training.shares import divisible, share
from studiolo.training.size import Plan, plan
from studiolo.training.start import read_start
from studiolo.training.tensorboard import Events, writer
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


@dataclass(frozen=True)
class Made:
    """What is trained. ``parameters``: those that learn, by name."""

    decoder: Decoder
    learner: Learner[Any]
    parameters: Mapping[str, nn.Parameter]
    loop: Loop[Batch]


class Run:
    """One recipe, carried out in one folder. To make one reads the data and plans; nothing more."""

    def __init__(self, recipe: Recipe, folder: Path, processes: Processes = ALONE) -> None:
        self.recipe, self.folder, self.processes = recipe, folder, processes
        self.sharded = processes.count > 1 and recipe.training.parallel == "shards"
        if recipe.watch.tensorboard:
            writer()
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
        own = self.objective.held_out
        self.held_out = recipe.data.validation if own is None else own
        size = round(self.objective.size * (1 - self.held_out))
        self.plan: Plan = plan(recipe, self.tokenizer.vocab_size, parent, size)
        divisible(self.plan.batch, recipe.objective.kind, processes.count)
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

        ``watchers`` and ``wrote``, which is given samples and their steps, are told by the first
        process alone; ``stop`` is asked after each step. Raises what :class:`Workshop`,
        :meth:`Loop.run` and :func:`publish` raise.
        """
        recipe, plan, first = self.recipe, self.plan, self.processes.first
        identity = {"recipe": recipe.digest, "data": self.objective.digest}
        identity |= {f"model {each.name}": each.digest for each in self.parents}
        workshop = self.processes.in_turn(
            lambda: Workshop(self.folder, recipe, identity, resume=resume or not first)
        )
        made = self.made(workshop.checkpoints)
        decoder, loop = made.decoder, made.loop
        saved = workshop.checkpoints.newest()
        if saved is not None:
            loop.resume(saved)
        with ExitStack() as kept:
            log: Log | None = None
            if first:
                log = kept.enter_context(Log(workshop.log, plan.steps, loop.course.step))
                loop.watchers = (log, *watchers)
                if recipe.watch.tensorboard:
                    events = kept.enter_context(Events(workshop.path, loop.course.step))
                    loop.watchers = (*loop.watchers, events)
            loop.watchers, loop.stop = (*loop.watchers, _Writer(self, decoder, log, wrote)), stop
            finished = loop.run()
            course = loop.course
            if not finished:
                return _result(course, course.best, None)
            loop.keep_best()
            told = self.evaluation(made.learner)
            if log is not None:
                log.write(step=course.step, final=told["loss"])
        result = _result(course, told["loss"], self.folder)
        if self.start is not None and recipe.start.adapter is not None:
            if first:
                changes, base = updates(decoder, made.parameters), self.start.name
                facts = self._facts(course, told)
                publish_adapter(self.folder, workshop.path, decoder.config, changes, base, facts)
                write_report(workshop.report, workshop.log, recipe, plan, facts)
            return result
        whole = self.whole(decoder, torch.device("cpu"))
        if whole is not None:
            facts = self._facts(course, told)
            publish(self.folder, workshop.path, whole, self.tokenizer, facts)
            write_report(workshop.report, workshop.log, recipe, plan, facts)
        return result

    def evaluation(self, learner: Learner[Any], limit: int | None = None) -> dict[str, float]:
        """Means over all that is held out, or over about ``limit`` tokens of it."""
        totals: dict[str, float] = {}
        count = 0
        for batch, counts in self.processes.dealt(self.parts.held_out.sweep(limit)):
            told = learner.judged(batch)
            weight = batch.weight if counts else 0
            count += weight
            for name, value in told.items():
                totals[name] = totals.get(name, 0.0) + (value * weight if counts else 0.0)
        *sums, every = self.processes.summed(*totals.values(), count)
        return {name: total / every for name, total in zip(totals, sums, strict=True)}

    def whole(self, decoder: Decoder, device: torch.device) -> Decoder | None:
        """In the first process ``decoder``, or of one that is split the whole; else None."""
        if self.sharded:
            return whole_copy(decoder, self.processes, device)
        return decoder if self.processes.first else None

    def made(self, checkpoints: Checkpoints) -> Made:
        """Network, learner and loop, as they begin."""
        recipe = self.recipe
        torch.manual_seed(recipe.seed)
        decoder = self._decoder()
        parameters: Mapping[str, nn.Parameter] = {}
        if recipe.start.adapter is not None:
            parameters = low_rank(decoder, recipe.start.adapter, recipe.seed)
        # A learner may copy the decoder, which nothing below would stand.
        learner = self.objective.learner(decoder, recipe)
        if recipe.training.recompute:
            recompute(decoder)
        if self.sharded:
            shard(decoder, self.processes)
            for parameter in parameters.values():
                parameter.data = parameter.data.to(self.device)
        parameters = parameters or dict(decoder.named_parameters())
        return Made(
            decoder, learner, parameters, self._loop(decoder, learner, parameters, checkpoints)
        )

    def _decoder(self) -> Decoder:
        # What is going to be split may be too large for one device; but a teacher, or the copy that
        # preferences are measured by, stays where the decoder is made.
        alone = self.recipe.objective.kind in ("text", "answers")
        device = torch.device("cpu") if self.sharded and alone else self.device
        if self.start is not None:
            return self.start.decoder(device)
        return new_decoder(self.plan.config, self.recipe.seed, device)

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

        def evaluate() -> float:
            loss = self.evaluation(learner, recipe.watch.tokens)["loss"]
            settle(decoder)
            return loss

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
            evaluate=evaluate,
            checkpoints=checkpoints,
            processes=self.processes,
            share=partial(share, rank=self.processes.rank, count=self.processes.count),
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
    """Has the model write something after each evaluation, in the first process."""

    def __init__(
        self, run: Run, decoder: Decoder, log: Log | None, wrote: Callable[[int, str], None]
    ) -> None:
        self._run, self._decoder, self._log, self._wrote = run, decoder, log, wrote
        self._prompt = run.objective.prompt(run.recipe)

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        """Nothing is to be done."""

    def evaluated(self, course: Course, validation: float) -> None:
        """As :meth:`Watcher.evaluated`."""
        count = self._run.recipe.watch.sample
        if not count:
            return
        decoder = self._run.whole(self._decoder, self._run.device)
        if decoder is None or self._log is None:
            return
        tokenizer = self._run.tokenizer
        made = continuation(Autoregressive(decoder), self._prompt, count, self._run.recipe.seed)
        if self._run.recipe.objective.kind != "text":  # an answer has an end
            ends = [i for i, token in enumerate(made) if token in tokenizer.eos_ids]
            made = made[: ends[0]] if ends else made
        text = tokenizer.decode([*self._prompt, *made])
        self._log.write(step=course.step, sample=text)
        self._wrote(course.step, text)


def _result(course: Course, loss: float, bundle: Path | None) -> Result:
    speed = course.tokens / course.seconds if course.seconds else 0.0
    return Result(course.step, course.loss, loss, speed, course.seconds, bundle)
