"""A corpus's recipe: which sources, which steps with which thresholds, which tokenizer; as YAML.

Read, checked and overridden as a training recipe is (:mod:`studiolo.training.fields`). Notable
choice: what a source does not say of a step is said by the recipe, and what that does not say
follows from the source's kind: rules for prose are not asked of code, and rules for the web not of
books. Deliberately unknown here: files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from studiolo.training.corpus.kinds import NO_PROSE, WEB, Kind
from studiolo.training.corpus.readers.reading import Fields
from studiolo.training.corpus.steps.c4 import C4Rules
from studiolo.training.corpus.steps.decontaminate import DecontaminateRules
from studiolo.training.corpus.steps.exact import ExactRules
from studiolo.training.corpus.steps.fineweb import FineWebRules
from studiolo.training.corpus.steps.language import LanguageRules
from studiolo.training.corpus.steps.licence import LicenceRules
from studiolo.training.corpus.steps.near import NearRules
from studiolo.training.corpus.steps.normalise import NormaliseRules
from studiolo.training.corpus.steps.quality import QualityRules
from studiolo.training.corpus.steps.repetition import RepetitionRules
from studiolo.training.corpus.steps.rules import Rules
from studiolo.training.fields import Section, checked, override, read_values, shipped_in

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$")]


class StepsRecipe(Section):
    """The steps, in the order in which they are taken."""

    licence: LicenceRules = LicenceRules()
    normalise: NormaliseRules = NormaliseRules()
    language: LanguageRules = LanguageRules()
    quality: QualityRules = QualityRules()
    repetition: RepetitionRules = RepetitionRules()
    c4: C4Rules = C4Rules()
    fineweb: FineWebRules = FineWebRules()
    decontaminate: DecontaminateRules = DecontaminateRules()
    exact: ExactRules = ExactRules()
    near: NearRules = NearRules()


class SourceRecipe(Section):
    """Where documents come from; one of ``path``, ``package`` and ``hf``."""

    name: Name
    path: str | None = Field(None, description="a file, or a folder that is read with all in it")
    package: str | None = Field(
        None, description="the source code of an installed Python package; stdlib: Python's own"
    )
    hf: str | None = Field(None, description="owner/name of a data set on the hub, with Parquet")
    revision: str = Field("main", description="of the hub's data set")
    kind: Kind | None = Field(None, description="how files are read; null: by each one's name")
    pattern: str = Field("*", description="which files of a folder, such as *.md or en/*")
    text: tuple[str, ...] | str = Field(
        "text",
        description="field of the text in JSONL, CSV and Parquet; of several, all are joined",
    )
    licence_field: str | None = Field(None, description="field of a row's own licence")
    identity_field: str | None = Field(None, description="field by which a row is called")
    licence: str = Field("unknown", description="SPDX identifier, where a row has none of its own")
    weight: Annotated[float, Field(gt=0, le=1000)] = Field(
        1.0, description="how often each document is trained on; 0.5: every second"
    )
    validation: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.01, description="part of the documents that is kept for validation"
    )
    separator: str | None = Field(
        None, min_length=1, max_length=1000, description="between documents of a text file"
    )
    longest: Annotated[int, Field(ge=100, le=2**24, strict=True)] = Field(
        200_000, description="characters of a document; a longer one is cut at a line's end"
    )
    on_error: Literal["fail", "skip"] | None = Field(
        None, description="what a file or row that cannot be read does; null: as the recipe says"
    )
    steps: StepsRecipe = StepsRecipe()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in ("path", "package", "hf") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"a source has one of path, package and hf, and here is {found}")
        shape = self.steps.near.model_fields_set & {"words", "bands", "rows"}
        if shape:
            raise ValueError(
                f"steps.near.{min(shape)} is the recipe's: sources are compared with each other"
            )
        return self

    @property
    def fields(self) -> Fields:
        """Where a row says what."""
        text = (self.text,) if isinstance(self.text, str) else self.text
        return Fields(text, self.licence_field, self.identity_field)


class TrainTokenizer(Section):
    """A byte-level BPE made from the corpus itself."""

    vocabulary: Annotated[int, Field(ge=257, le=2**20, strict=True)] = Field(
        description="tokens, the end token and the 256 bytes included"
    )
    bytes: Annotated[int, Field(ge=1, le=2**40, strict=True)] = Field(
        200_000_000, description="most text that it is made from, taken evenly over the corpus"
    )


class TokenizerRecipe(Section):
    """Who spells: one of the two."""

    model: str | None = Field(
        None, description="a model's name, or a directory with a tokenizer.json"
    )
    train: TrainTokenizer | None = None

    @model_validator(mode="before")
    @classmethod
    def _name(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.model is None) == (self.train is None):
            raise ValueError("is a model's name or a directory, or train: {vocabulary: N}")
        return self


class CorpusRecipe(Section):
    """A whole recipe."""

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = Field(
        1, description="of which documents are held out, and which are taken by weight"
    )
    tokenizer: TokenizerRecipe
    sources: tuple[SourceRecipe, ...] = Field(min_length=1, max_length=1000)
    steps: StepsRecipe = StepsRecipe()
    mask: Annotated[bool, Field(strict=True)] = Field(
        False, description="personal data are masked, as `studiolo mask` does"
    )
    on_error: Literal["fail", "skip"] = Field(
        "fail", description="what a file or row that cannot be read does: end the build, or be "
        "counted in the manifest and left out"
    )  # fmt: skip

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are called {twice[0]!r}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of all values."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def steps_of(self, source: SourceRecipe, kind: Kind) -> StepsRecipe:
        """The rules for files of ``kind`` of that source."""
        steps = StepsRecipe()
        if kind not in WEB:
            steps = _without(steps, "c4", "fineweb")
        steps = merged(steps, self.steps)
        if kind in NO_PROSE:
            steps = _without(steps, "language", "quality", "repetition", "c4", "fineweb")
        return merged(steps, source.steps)


def merged(below: StepsRecipe, above: StepsRecipe) -> StepsRecipe:
    """``above`` where it says something, and ``below`` where it does not."""
    rules: dict[str, Rules] = {}
    for name in StepsRecipe.model_fields:
        own: Rules = getattr(above, name)
        said = {field: getattr(own, field) for field in own.model_fields_set}
        rules[name] = getattr(below, name).model_copy(update=said)
    return StepsRecipe(**rules)


def read_corpus_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> CorpusRecipe:
    """The recipe in a file, or the one that ships under that name, with overrides ``key=value``.

    Raises :class:`~studiolo.errors.InvalidRequestError`, naming the field, for a file that is not
    there or no recipe, a key that is not known, and a value that is not allowed.
    """
    value = read_values(name_or_path, shipped())
    for each in overrides:
        override(value, each, CorpusRecipe)
    return checked_corpus_recipe(value)


def checked_corpus_recipe(value: Mapping[str, Any]) -> CorpusRecipe:
    """The recipe of these values; raises as :func:`read_corpus_recipe`."""
    return checked(value, CorpusRecipe)


def shipped() -> dict[str, str]:
    """Name to text of every corpus recipe that ships with the package."""
    return shipped_in("corpus")


def _without(steps: StepsRecipe, *names: str) -> StepsRecipe:
    off = {name: getattr(steps, name).model_copy(update={"apply": False}) for name in names}
    return steps.model_copy(update=off)
