r"""The objective ``rewards``: answers that can be checked (GRPO; Shao et al. 2024, section 4.1).

For each prompt a group of answers is tried, :math:`r_i` is 1 for a right one, else 0, and

.. math:: \mathcal L = -\frac{1}{\sum_i |o_i|} \sum_i \sum_t A_i \log \pi(o_{i,t}), \qquad
          A_i = \frac{r_i - \bar r}{\mathrm{std}(r) + \epsilon}

Notable choices: one step on each trial, so that the ratio of policies is 1 and nothing is clipped;
the mean over all tokens of a batch, not answer by answer, and no divergence from the start (Yu et
al. 2025, DAPO). Trials are drawn by the seed and the batch's number, so a run can be gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from studiolo.family.autoregressive import Autoregressive, TokenRequest
from studiolo.family.contract import Loss
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.decoder import Decoder
from studiolo.sampler.decoding import generator
from studiolo.sampler.settings import Decoding
from studiolo.training.answers import divided, left_out
from studiolo.training.check import Trial
from studiolo.training.data import Shuffle
from studiolo.training.language import surprises
from studiolo.training.objective import SWEEP, Parts
from studiolo.training.packing import Example, rows
from studiolo.training.recipe import Recipe
from studiolo.training.size import Plan

EPSILON = 1e-4


@dataclass(frozen=True)
class TrialBatch:
    """``number``: by which the answers are drawn. ``group``: answers to each."""

    trials: Sequence[Trial]
    number: int
    group: int

    @property
    def tokens(self) -> int:
        """Tokens of the prompts, each read once for every answer."""
        return self.group * sum(len(each.prompt) for each in self.trials)

    @property
    def weight(self) -> int:
        """Prompts."""
        return len(self.trials)


class Trials:
    """Batches of prompts, by number; a :class:`Reading`."""

    def __init__(self, trials: Sequence[Trial], *, batch: int, group: int, seed: int) -> None:
        self._trials, self._batch, self._group = trials, batch, group
        self._shuffle = Shuffle(len(trials), seed)

    def at(self, number: int) -> TrialBatch:
        """As :meth:`Reading.at`."""
        first = number * self._batch
        chosen = [self._trials[self._shuffle.at(first + i)] for i in range(self._batch)]
        return TrialBatch(chosen, number, self._group)

    def sweep(self, limit: int | None = None) -> Iterator[TrialBatch]:
        """As :meth:`Reading.sweep`; ``limit`` counts prompts' tokens."""
        whole = len(self._trials)
        size = sum(len(each.prompt) for each in self._trials)
        wanted = whole if limit is None else max(1, min(whole, whole * limit // size))
        chosen = [self._trials[i * whole // wanted] for i in range(wanted)]
        for start in range(0, wanted, self._batch):
            yield TrialBatch(chosen[start : start + self._batch], start, 1)


Answered = tuple[Trial, list[tuple[int, ...]]]
"""A trial, and the ids of answers to it."""


class Trier:
    """A :class:`Learner` by trial."""

    def __init__(
        self, decoder: Decoder, tokenizer: Tokenizer, *, longest: int, temperature: float, seed: int
    ) -> None:
        self.decoder, self._tokenizer, self._seed = decoder, tokenizer, seed
        self._model, self._longest = Autoregressive(decoder), longest
        self._drawn = Decoding(temperature=temperature)

    def loss(self, batch: TrialBatch) -> Loss:
        """The formula above; ``reward``: the mean over all answers."""
        answered = self._answered(batch, self._drawn)
        rewards = torch.tensor([self._rewards(each) for each in answered])
        spread = rewards.std(1, correction=0, keepdim=True)
        gains = ((rewards - rewards.mean(1, keepdim=True)) / (spread + EPSILON)).flatten()
        examples = [_written(trial, ids) for trial, group in answered for ids in group]
        found = surprises(self.decoder, rows(examples)).sum(1)
        made = sum(int(each.counts.sum()) for each in examples)
        return Loss((found * gains.to(found.device)).sum() / made, {"reward": rewards.mean()})

    def judged(self, batch: TrialBatch) -> dict[str, float]:
        """``loss``: of how many prompts the likeliest answer is wrong."""
        answered = self._answered(batch, Decoding(temperature=0.0))
        right = [reward for each in answered for reward in self._rewards(each)]
        return {"loss": 1.0 - sum(right) / len(right)}

    def _rewards(self, answered: Answered) -> list[float]:
        trial, group = answered
        return [float(trial.right(self._tokenizer.decode(ids))) for ids in group]

    def _answered(self, batch: TrialBatch, decoding: Decoding) -> list[Answered]:
        """``group`` answers to each prompt, each with the token that ends it, if it has an end."""
        model, ends = self._model, self._tokenizer.eos_ids
        under_way = []
        for i, trial in enumerate(batch.trials):
            request = TokenRequest(trial.prompt, self._longest, decoding, stop_ids=ends)
            for j in range(batch.group):
                drawn = np.random.SeedSequence([self._seed, batch.number, i, j])
                seed = int(drawn.generate_state(1, np.uint64)[0] >> np.uint64(1))
                under_way.append(model.begin(request, generator(seed)))
        while active := [each for each in under_way if not each.done]:
            if failed := model.advance(active, [each.demand for each in active]):
                raise next(iter(failed.values()))
        made = []
        for sample in map(model.finish, under_way):
            ended = sorted(ends)[:1] if sample.finish_reason == "stop" else []
            made.append((*sample.tokens, *ended))
        groups = [made[i : i + batch.group] for i in range(0, len(made), batch.group)]
        return list(zip(batch.trials, groups, strict=True))


def _written(trial: Trial, answer: Sequence[int]) -> Example:
    counts = np.zeros(len(trial.prompt) + len(answer), np.bool_)
    counts[len(trial.prompt) :] = True
    return Example(np.array([*trial.prompt, *answer], np.int64), counts)


@dataclass(frozen=True)
class Rewards:
    """Prompts whose answers can be checked; an :class:`Objective`."""

    trials: Sequence[Trial]
    tokenizer: Tokenizer
    digest: str
    licence: str
    held_out: None = None

    @property
    def size(self) -> int:
        """Tokens of all prompts."""
        return sum(len(each.prompt) for each in self.trials)

    def parts(self, recipe: Recipe, plan: Plan) -> Parts:
        """``training.batch`` prompts a batch; those that leave no room for an answer stay out."""
        longest = plan.block - recipe.objective.answer_tokens
        fits = [each for each in self.trials if len(each.prompt) <= longest]
        learnt, held_out = divided(fits, len(self.trials), recipe, plan)
        group = recipe.objective.group
        sweep = max(1, SWEEP // plan.block)
        return Parts(
            Trials(learnt, batch=min(plan.batch, len(learnt)), group=group, seed=recipe.seed),
            Trials(held_out, batch=sweep, group=1, seed=recipe.seed),
            left_out(len(self.trials) - len(fits), len(self.trials), plan),
        )

    def prompt(self, recipe: Recipe) -> list[int]:
        """The last prompt."""
        return list(self.trials[-1].prompt)

    def learner(self, decoder: Decoder, recipe: Recipe) -> Trier:
        """By trial."""
        return Trier(
            decoder,
            self.tokenizer,
            longest=recipe.objective.answer_tokens,
            temperature=recipe.objective.temperature,
            seed=recipe.seed,
        )

    def quality(self, parts: Parts, told: Mapping[str, float]) -> dict[str, float]:
        """Of how many prompts held out the likeliest answer is right."""
        return {"validation_loss": told["loss"], "validation_accuracy": 1.0 - told["loss"]}
