"""From kept documents to token shards: which are held out, which are taken how often.

A document is held out for validation if the hash of its text and the recipe's seed says so, once,
whatever its source's weight. All others are taken by weight: with weight 2 twice, with 2.5 twice
and every second a third time, with 0.5 every second once, chosen by a hash of its text. Sources
stand in the recipe's order, each in as many rounds as it is repeated; training reads blocks in an
order of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from studiolo.bundle.manifest import FilePin
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.corpus.chance import chance
from studiolo.training.corpus.document import Document
from studiolo.training.corpus.manifest import Portion
from studiolo.training.corpus.recipe import CorpusRecipe, SourceRecipe
from studiolo.training.corpus.shards import TRAINING, VALIDATION, HashedFile, ShardWriter
from studiolo.training.corpus.stage import Stage
from studiolo.training.corpus.vocabulary import end_token

CAPTIONS = "captions.jsonl"


@dataclass
class Written:
    """What was written of one source."""

    training: Portion
    validation: Portion
    lengths: dict[int, int] = field(default_factory=dict)

    def histogram(self) -> tuple[int, ...]:
        """Kept documents by the number of binary digits of their tokens, from 1."""
        return tuple(self.lengths.get(n, 0) for n in range(1, max(self.lengths, default=0) + 1))


class Writer:
    """The parts of one corpus, in ``folder``; use it in a ``with``, and close it within."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, recipe: CorpusRecipe) -> None:
        self._tokenizer, self._recipe = tokenizer, recipe
        self.end = end_token(tokenizer)
        self.dtype: Literal["uint16", "uint32"]
        self.dtype = "uint16" if tokenizer.vocab_size <= 1 << 16 else "uint32"
        self._folder = folder
        self._parts = {
            part: ShardWriter(folder, part, self.dtype) for part in (TRAINING, VALIDATION)
        }
        self._captions: HashedFile | None = None

    def write(self, source: SourceRecipe, stage: Stage, wrote: Callable[[int], None]) -> Written:
        """Append a source; ``wrote`` is told the UTF-8 bytes of every document."""
        written = Written(
            Portion(first=self._parts[TRAINING].tokens),
            Portion(first=self._parts[VALIDATION].tokens),
        )
        for document, part, again in dealt(source, stage, self._recipe.seed):
            ids = self._tokenizer.encode(document.text, add_special=False)
            size = len(document.text.encode("utf-8", "replace"))
            wrote(size)
            if not ids:
                continue
            counted = len(ids)
            if self.end is not None:
                ids.append(self.end)
            self._parts[part].add(ids)
            if part == TRAINING:
                written.training = _more(written.training, size, len(ids))
            else:
                written.validation = _more(written.validation, size, len(ids))
            if not again:
                digits = counted.bit_length()
                written.lengths[digits] = written.lengths.get(digits, 0) + 1
                if document.image:
                    self._caption(document, part)
        return written

    def close(self) -> dict[str, FilePin]:
        """Force all to disk; sizes and digests by file."""
        files: dict[str, FilePin] = {}
        for part in self._parts.values():
            files |= part.close()
        if self._captions is not None:
            files[CAPTIONS] = self._captions.close()
        return files

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for part in (*self._parts.values(), self._captions):
            if part is not None:
                part.abandon()

    def _caption(self, document: Document, part: str) -> None:
        if self._captions is None:
            self._captions = HashedFile(self._folder / CAPTIONS)
        value = {
            "source": document.source,
            "image": document.image,
            "text": document.text,
            "part": part,
        }
        self._captions.write(
            json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        )


def dealt(source: SourceRecipe, stage: Stage, seed: int) -> Iterator[tuple[Document, str, bool]]:
    """Every document that is taken, for which part, and whether it was taken before."""
    round_ = 0
    while round_ < source.weight:
        for document in stage.documents(source.name):
            if chance(seed, "validation", document.text) < source.validation:
                if round_ == 0:
                    yield document, VALIDATION, False
            elif chance(seed, "weight", document.text) < source.weight - round_:
                yield document, TRAINING, round_ > 0
        round_ += 1


def _more(portion: Portion, size: int, tokens: int) -> Portion:
    return portion.model_copy(
        update={
            "documents": portion.documents + 1,
            "bytes": portion.bytes + size,
            "tokens": portion.tokens + tokens,
        }
    )
