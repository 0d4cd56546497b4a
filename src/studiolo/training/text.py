"""The objective ``text``: to foresee every next token of a text, new or gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.decoder import Decoder
from studiolo.training.data import Blocks
from studiolo.training.language import NextToken, surprise
from studiolo.training.objective import SWEEP, Parts
from studiolo.training.recipe import Recipe
from studiolo.training.size import Plan
from studiolo.training.source import Source


@dataclass(frozen=True)
class Text:
    """A row of tokens, of which every one counts; an :class:`Objective`."""

    source: Source

    @property
    def tokenizer(self) -> Tokenizer:
        """That of the model to go on from, or of the text."""
        return self.source.tokenizer

    @property
    def size(self) -> int:
        """Tokens, with those that a corpus keeps for validation."""
        kept = self.source.held_out
        return len(self.source.tokens) + (0 if kept is None else len(kept))

    @property
    def held_out(self) -> float | None:
        """Of a corpus, what it has decided."""
        kept = self.source.held_out
        return None if kept is None else len(kept) / max(1, self.size)

    @property
    def digest(self) -> str:
        """Of the text's bytes, or of the shards."""
        return self.source.digest

    @property
    def licence(self) -> str:
        """Of the text."""
        return self.source.licence

    def parts(self, recipe: Recipe, plan: Plan) -> Parts:
        """The text cut in blocks; its last part is held out, or what a corpus keeps apart."""
        learnt, held_out = self.source.split(recipe.data.validation, plan.block + 1)
        sweep = max(1, SWEEP // plan.block)
        return Parts(
            Blocks(learnt, block=plan.block, batch=plan.batch, seed=recipe.seed),
            Blocks(held_out, block=plan.block, batch=sweep, seed=recipe.seed),
        )

    def prompt(self, recipe: Recipe) -> list[int]:
        """The recipe's own."""
        return self.tokenizer.encode(recipe.watch.prompt) or [0]

    def learner(self, decoder: Decoder, recipe: Recipe) -> NextToken:
        """Next-token loss."""
        return NextToken(decoder)

    def quality(self, parts: Parts, told: Mapping[str, float]) -> dict[str, float]:
        """The loss in nats a token, and in bits a byte."""
        return surprise(parts.held_out, self.tokenizer, told["loss"])
