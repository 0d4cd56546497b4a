"""A network that writes what it is told to, so that a model says exactly what a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from studiolo.family.autoregressive import Autoregressive
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.adapter import Adaptation, Adapter
from studiolo.nn.config import DecoderConfig
from studiolo.nn.network import Piece
from studiolo.sampler.settings import Decoding
from studiolo.task.text import LanguageModel

SURE = 60.0
"""The logit of what is to be written; all else has 0."""


class Read:
    """A past that is nothing but the tokens."""

    def __init__(self, tokens: Sequence[int] = ()) -> None:
        self.tokens = list(tokens)

    @property
    def length(self) -> int:
        return len(self.tokens)

    @property
    def parts(self) -> Mapping[int, int]:
        return {id(self): 8 * len(self.tokens)}

    def fork(self, length: int | None = None) -> Self:
        return type(self)(self.tokens[:length])

    def truncate(self, length: int) -> None:
        del self.tokens[length:]


class Scribe:
    """Writes ``script`` after the last token ``begin``, and then ``end`` for ever."""

    identity = "scribe"

    def __init__(
        self, config: DecoderConfig, script: Sequence[int], begin: int, end: int, *, invariant: bool
    ) -> None:
        self.config, self._script, self._begin, self._end = config, list(script), begin, end
        self.invariant = invariant
        self.steps = 0

    def new_cache(self) -> Read:
        return Read()

    def cache_bytes(self, tokens: int) -> int:
        return 8 * tokens

    def adapt(self, adapter: Adapter) -> Adaptation:
        return Adaptation(adapter.name, adapter.digest, None)

    def step(self, pieces: Sequence[Piece[Any]]) -> list[Tensor]:
        self.steps += 1
        return [self._read(piece) for piece in pieces]

    def interrupt(self) -> None:
        """A step takes no time."""

    def _read(self, piece: Piece[Any]) -> Tensor:
        cache: Read = piece.cache
        cache.tokens += piece.tokens
        rows = torch.zeros(piece.wanted, self.config.vocabulary)
        for i in range(piece.wanted):
            read = cache.tokens[: cache.length - piece.wanted + 1 + i]
            at = read[::-1].index(self._begin)  # how much is written
            rows[i, self._script[at] if at < len(self._script) else self._end] = SURE
        return rows


def writer(
    lm: LanguageModel,
    text: str | Sequence[int],
    *,
    template: str | None = None,
    invariant: bool = True,
) -> LanguageModel:
    """A model with the tokenizer of the tiny one that writes ``text`` after ``<|assistant|>``.

    ``template``: another chat template. ``invariant``: whether guesses may be read along.
    """
    tokenizer = Tokenizer.from_directory(lm.bundle.path)
    tokenizer.chat_template = template or tokenizer.chat_template
    script = tokenizer.encode(text) if isinstance(text, str) else list(text)
    (begin,) = tokenizer.encode("<|assistant|>", parse_special=True)
    end = min(tokenizer.eos_ids)
    config = lm.config.model_copy(update={"context": 8192})
    network = Scribe(config, script, begin, end, invariant=invariant)
    return LanguageModel(lm.bundle, tokenizer, Autoregressive(network), Decoding())
