r"""The objective ``preferences``: to answer rather so than so (DPO; Rafailov et al. 2023, eq. 7).

.. math:: -\log \sigma\left( \beta \left[
          \log \frac{\pi(y_w | x)}{\pi_0(y_w | x)} - \log \frac{\pi(y_l | x)}{\pi_0(y_l | x)}
          \right] \right)

:math:`\pi_0` is the model that was begun with: the frozen weights without their updates, or a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from studiolo.family.contract import Loss
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.decoder import Decoder
from studiolo.training.answers import divided, left_out
from studiolo.training.data import Shuffle, TokenBatch
from studiolo.training.language import summed_log_probs
from studiolo.training.lowrank import without
from studiolo.training.objective import SWEEP, Parts
from studiolo.training.packing import Example, rows
from studiolo.training.recipe import Recipe
from studiolo.training.size import Plan

Pair = tuple[Example, Example]


@dataclass(frozen=True)
class PairBatch:
    """``chosen`` and ``rejected``: B rows each; row by row they answer the same."""

    chosen: TokenBatch
    rejected: TokenBatch

    @property
    def tokens(self) -> int:
        """Tokens that are read."""
        return self.chosen.tokens + self.rejected.tokens

    @property
    def weight(self) -> int:
        """Pairs."""
        return len(self.chosen.inputs)


class Pairs:
    """Batches of pairs, by number; a :class:`Reading`."""

    def __init__(self, pairs: Sequence[Pair], *, batch: int, seed: int) -> None:
        self._pairs, self._batch = pairs, batch
        self._shuffle = Shuffle(len(pairs), seed)

    def at(self, number: int) -> PairBatch:
        """As :meth:`Reading.at`."""
        first = number * self._batch
        return _batch([self._pairs[self._shuffle.at(first + i)] for i in range(self._batch)])

    def sweep(self, limit: int | None = None) -> Iterator[PairBatch]:
        """As :meth:`Reading.sweep`."""
        whole = len(self._pairs)
        size = sum(len(each.ids) for pair in self._pairs for each in pair)
        wanted = whole if limit is None else max(1, min(whole, whole * limit // size))
        chosen = [self._pairs[i * whole // wanted] for i in range(wanted)]
        for start in range(0, wanted, self._batch):
            yield _batch(chosen[start : start + self._batch])


def _batch(pairs: Sequence[Pair]) -> PairBatch:
    return PairBatch(*(rows([pair[i] for pair in pairs]) for i in range(2)))


class Preference:
    """A :class:`Learner` of pairs."""

    def __init__(self, decoder: Decoder, beta: float, *, adapted: bool) -> None:
        """``adapted``: the weights stay, and updates are trained beside them."""
        self.decoder, self.beta = decoder, beta
        self._before = decoder if adapted else copy.deepcopy(decoder).requires_grad_(False)

    def loss(self, batch: PairBatch) -> Loss:
        """The formula above, mean over the pairs; ``accuracy``: of how many it holds already."""
        with torch.no_grad(), without(self._before) as before:
            chosen_before, rejected_before = self._sums(before, batch)
        chosen, rejected = self._sums(self.decoder, batch)
        margin = self.beta * ((chosen - chosen_before) - (rejected - rejected_before))
        accuracy = (margin.detach() > 0).float().mean()
        return Loss(-F.logsigmoid(margin).mean(), {"accuracy": accuracy})

    @torch.no_grad()
    def judged(self, batch: PairBatch) -> dict[str, float]:
        """The same, as numbers."""
        found = self.loss(batch)
        return {"loss": float(found.total), "accuracy": float(found.parts["accuracy"])}

    def _sums(self, decoder: Decoder, batch: PairBatch) -> tuple[Tensor, Tensor]:
        return (summed_log_probs(decoder, batch.chosen), summed_log_probs(decoder, batch.rejected))


@dataclass(frozen=True)
class Preferences:
    """Pairs of answers; an :class:`Objective`."""

    pairs: Sequence[Pair]
    tokenizer: Tokenizer
    digest: str
    licence: str
    held_out: None = None

    @property
    def size(self) -> int:
        """Tokens of all pairs."""
        return sum(len(each.ids) for pair in self.pairs for each in pair)

    def parts(self, recipe: Recipe, plan: Plan) -> Parts:
        """As many pairs a batch as fill its blocks; a pair longer than a block is left out."""
        fits = [p for p in self.pairs if max(len(each.ids) for each in p) <= plan.block + 1]
        learnt, held_out = divided(fits, len(self.pairs), recipe, plan)
        mean = self.size / len(self.pairs)
        batch = max(1, round(plan.batch * plan.block / mean))
        sweep = max(1, round(SWEEP / mean))
        return Parts(
            Pairs(learnt, batch=min(batch, len(learnt)), seed=recipe.seed),
            Pairs(held_out, batch=sweep, seed=recipe.seed),
            left_out(len(self.pairs) - len(fits), len(self.pairs), plan),
        )

    def prompt(self, recipe: Recipe) -> list[int]:
        """What comes before the last pair's answers."""
        last, _ = self.pairs[-1]
        return [int(i) for i in last.ids[: int(last.counts.argmax())]]

    def learner(self, decoder: Decoder, recipe: Recipe) -> Preference:
        """DPO."""
        adapted = recipe.start.adapter is not None
        return Preference(decoder, recipe.objective.beta, adapted=adapted)

    def quality(self, parts: Parts, told: Mapping[str, float]) -> dict[str, float]:
        """Loss, and of how many pairs held out the chosen answer has gained."""
        return {"validation_loss": told["loss"], "validation_accuracy": told["accuracy"]}
