"""The objective ``distil``: to foresee what a teacher foresees (Hinton et al. 2015).

The text is read by both; the student's distribution of every next token is drawn to the teacher's.
What is evaluated is the text's own surprise, so that it can be compared with other training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from studiolo.errors import InvalidRequestError
from studiolo.family.contract import Loss
from studiolo.nn.decoder import Decoder
from studiolo.training.data import TokenBatch
from studiolo.training.language import NextToken, scores_weight
from studiolo.training.losses import fused_distillation
from studiolo.training.recipe import Recipe
from studiolo.training.start import Start
from studiolo.training.text import Text


class Pupil(NextToken):
    """A :class:`Learner` beside its teacher."""

    def __init__(self, decoder: Decoder, teacher: Decoder, temperature: float) -> None:
        super().__init__(decoder)
        self._teacher, self._temperature = teacher.requires_grad_(False), temperature

    def loss(self, batch: TokenBatch) -> Loss:
        """The divergence from the teacher, over all tokens that have a next one."""
        batch = batch.to(self.decoder.device)
        counted = batch.targets.flatten() >= 0
        with torch.no_grad():
            taught = self._teacher.forward(batch.inputs, documents=batch.documents).flatten(0, 1)
        hidden = self.decoder.forward(batch.inputs, documents=batch.documents).flatten(0, 1)
        return Loss(
            fused_distillation(
                hidden[counted],
                scores_weight(self.decoder),
                (taught[counted], scores_weight(self._teacher)),
                temperature=self._temperature,
            )
        )

    @torch.no_grad()
    def judged(self, batch: TokenBatch) -> dict[str, float]:
        """How surprising the text itself is, as for the objective ``text``."""
        return {"loss": float(super().loss(batch).total)}


@dataclass(frozen=True)
class Distil(Text):
    """A text, and who teaches it."""

    teacher: Start

    def learner(self, decoder: Decoder, recipe: Recipe) -> Pupil:
        """The student; raises :class:`InvalidRequestError` if it spells with other tokens."""
        theirs, ours = self.teacher.config.vocabulary, decoder.config.vocabulary
        if theirs != ours:
            raise InvalidRequestError(
                "objective.teacher",
                f"knows {theirs:,} tokens and the student {ours:,}",
                remedy="Both must have one tokenizer: leave start.model out, and the student gets "
                "the teacher's.",
            )
        teacher = self.teacher.decoder(decoder.device)
        return Pupil(decoder, teacher, recipe.objective.temperature)
