"""The steps that need to know one document alone, taken one after the other.

What comes out of a document is an :class:`Outcome`, a plain value, so that files can be worked on
wherever there is a processor. Copies are recognised later, where all documents come together
(:mod:`studiolo.training.corpus.gate`); what is costly of that, the signature, is made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from studiolo.errors import MalformedFileError, SourceError
from studiolo.training.corpus.document import Document, Dropped, Step, Unreadable, printable
from studiolo.training.corpus.files import File
from studiolo.training.corpus.kinds import Kind, read
from studiolo.training.corpus.readers.reading import Row
from studiolo.training.corpus.recipe import SourceRecipe, StepsRecipe
from studiolo.training.corpus.steps.c4 import c4
from studiolo.training.corpus.steps.decontaminate import (
    DecontaminateRules,
    Examined,
    decontaminate,
)
from studiolo.training.corpus.steps.fineweb import fineweb
from studiolo.training.corpus.steps.language import language
from studiolo.training.corpus.steps.licence import licence
from studiolo.training.corpus.steps.near import signature
from studiolo.training.corpus.steps.normalise import normalise
from studiolo.training.corpus.steps.quality import quality
from studiolo.training.corpus.steps.repetition import repetition


@dataclass(frozen=True)
class Outcome:
    """What became of a document. ``read``: UTF-8 bytes that came in. ``changed``: by which steps.

    ``dropped`` says why it is left out, and ``by`` which step says so.
    """

    document: Document
    read: int
    changed: tuple[str, ...] = ()
    by: str = ""
    dropped: Dropped | None = None
    signature: NDArray[np.uint32] | None = None


@dataclass(frozen=True)
class Chain:
    """The steps of one source by kind of file, ready to be sent to another process."""

    source: SourceRecipe
    rules: Mapping[Kind, StepsRecipe]
    examined: Mapping[DecontaminateRules, Examined]

    def outcomes(self, file: File) -> Iterator[Outcome | Unreadable]:
        """Every document of ``file``, carried through the steps, and what is none.

        A file of which nothing more can be read ends in an :class:`Unreadable`.
        """
        rules = self.rules[file.kind]
        steps = self.steps(rules)
        own = self.source
        try:
            for row in read(file.path, file.kind, own.fields, own.longest, own.separator):
                if isinstance(row, Unreadable):
                    yield Unreadable(_name(file, row.identity), row.why)
                else:
                    yield self._carried(self._document(file, row), steps, rules)
        except (MalformedFileError, SourceError) as error:
            why = error.message.removeprefix(f"{file.path}").lstrip(":, ")
            yield Unreadable(_name(file, ""), why)

    def steps(self, rules: StepsRecipe) -> list[tuple[str, Step]]:
        """Those that are taken, by name."""
        examined = self.examined.get(rules.decontaminate, Examined({}))
        every: list[tuple[str, Step]] = [
            ("licence", partial(licence, rules=rules.licence)),
            ("normalise", partial(normalise, rules=rules.normalise)),
            ("language", partial(language, rules=rules.language)),
            ("quality", partial(quality, rules=rules.quality)),
            ("repetition", partial(repetition, rules=rules.repetition)),
            ("c4", partial(c4, rules=rules.c4)),
            ("fineweb", partial(fineweb, rules=rules.fineweb)),
            (
                "decontaminate",
                partial(decontaminate, rules=rules.decontaminate, examined=examined),
            ),
        ]
        return [(name, step) for name, step in every if getattr(rules, name).apply]

    def _document(self, file: File, row: Row) -> Document:
        image = printable(row.image and _beside(file, row.image))
        licence = printable(row.licence or self.source.licence)
        return Document(row.text, self.source.name, _name(file, row.part), licence, image)

    def _carried(
        self, document: Document, steps: list[tuple[str, Step]], rules: StepsRecipe
    ) -> Outcome:
        outcome = Outcome(document, len(document.text.encode("utf-8", "replace")))
        if not document.text.strip():
            return replace(outcome, by="normalise", dropped=Dropped("is empty"))
        for name, step in steps:
            said = step(outcome.document)
            if isinstance(said, Dropped):
                return replace(outcome, by=name, dropped=said)
            if said is not outcome.document:
                outcome = replace(outcome, document=said, changed=(*outcome.changed, name))
        if rules.near.apply:
            made = signature(outcome.document.text, rules.near)
            outcome = replace(outcome, signature=made)
        return outcome


def _name(file: File, part: str) -> str:
    return printable(f"{file.name}#{part}" if part else file.name)


def _beside(file: File, image: str) -> str:
    folder, slash, _ = file.name.rpartition("/")
    return f"{folder}{slash}{image}"
