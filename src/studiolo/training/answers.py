"""The objective ``answers``: supervised fine-tuning on chats, or on prompts and completions.

Only what is answered counts; several examples share a block, none sees another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.decoder import Decoder
from studiolo.training.language import NextToken, surprise
from studiolo.training.objective import SWEEP, Parts
from studiolo.training.packing import Example, Packs
from studiolo.training.recipe import Recipe
from studiolo.training.size import Plan


@dataclass(frozen=True)
class Answers:
    """Labelled examples, of which only the answers count; an :class:`Objective`."""

    examples: Sequence[Example]
    tokenizer: Tokenizer
    digest: str
    licence: str
    held_out: None = None

    @property
    def size(self) -> int:
        """Tokens of questions and answers."""
        return sum(len(each.ids) for each in self.examples)

    def parts(self, recipe: Recipe, plan: Plan) -> Parts:
        """Packed into blocks; an example that is longer than a block is left out, and said so."""
        fitting = [each for each in self.examples if len(each.ids) <= plan.block + 1]
        learnt, held_out = divided(fitting, len(self.examples), recipe, plan)
        left = len(self.examples) - len(fitting)
        sweep = max(1, SWEEP // plan.block)
        return Parts(
            Packs(learnt, block=plan.block, batch=plan.batch, seed=recipe.seed),
            Packs(held_out, block=plan.block, batch=sweep, seed=recipe.seed),
            left_out(left, len(self.examples), plan),
        )

    def prompt(self, recipe: Recipe) -> list[int]:
        """What comes before the last example's first answer."""
        last = self.examples[-1]
        return [int(i) for i in last.ids[: int(last.counts.argmax())]]

    def learner(self, decoder: Decoder, recipe: Recipe) -> NextToken:
        """Next-token loss."""
        return NextToken(decoder)

    def quality(self, parts: Parts, told: Mapping[str, float]) -> dict[str, float]:
        """The loss in nats a token, and in bits a byte, of the answers."""
        return surprise(parts.held_out, self.tokenizer, told["loss"])


E = TypeVar("E")


def divided(
    fitting: Sequence[E], of: int, recipe: Recipe, plan: Plan
) -> tuple[Sequence[E], Sequence[E]]:
    """What is learnt from, and the last part, which is held out.

    ``of``: how many there are with those that do not fit. Raises :class:`InvalidRequestError` if
    there are too few.
    """
    count = len(fitting) - int(len(fitting) * recipe.data.validation)
    if count in (0, len(fitting)):
        raise InvalidRequestError(
            "data.path",
            f"of {of:,} examples {len(fitting):,} fit a block of {plan.block:,} tokens: too few "
            "to hold one out",
            remedy="Give more, raise model.context, or raise data.validation.",
        )
    return fitting[:count], fitting[count:]


def left_out(count: int, of: int, plan: Plan) -> str:
    """The remark on examples that do not fit."""
    if not count:
        return ""
    return (
        f"{count:,} of {of:,} examples are longer than a block of {plan.block:,} tokens and are "
        "left out (model.context makes it longer)"
    )
