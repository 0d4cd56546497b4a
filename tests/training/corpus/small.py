"""A corpus so small that it is built in a moment, and prose that passes every rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from studiolo.errors import MalformedFileError
from studiolo.training.corpus.build import Build
from studiolo.training.corpus.chain import Outcome
from studiolo.training.corpus.document import Document
from studiolo.training.corpus.manifest import CorpusManifest
from studiolo.training.corpus.recipe import CorpusRecipe, checked_corpus_recipe

NOUNS = (
    *("rain", "river", "street", "lamp", "garden", "window", "letter", "harbour", "winter"),
    *("morning", "paper", "baker", "child", "bridge", "market", "tower", "soldier", "painter"),
    *("mirror", "candle", "orchard", "village", "teacher", "stranger"),
)
VERBS = ("found", "carried", "watched", "followed", "painted", "opened", "crossed", "forgot")
ADJECTIVES = (
    *("old", "quiet", "narrow", "golden", "broken", "distant", "patient", "heavy", "sudden"),
    *("gentle", "hollow"),
)


def prose(seed: int, sentences: int = 14) -> str:
    """English of a sort, another for each seed."""
    rng = random.Random(seed)

    def thing() -> str:
        return f"the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"

    return " ".join(
        f"{rng.choice(NOUNS).title()} {rng.choice(NOUNS)} and {thing()} {rng.choice(VERBS)} "
        f"{thing()} with {thing()}."
        for _ in range(sentences)
    )


def document(text: str, identity: str = "a", source: str = "s", licence: str = "MIT") -> Document:
    return Document(text, source, identity, licence)


def outcome(text: str, identity: str = "a", **changes: Any) -> Outcome:
    made = document(text, identity)
    return Outcome(made, len(text.encode("utf-8", "replace")), **changes)


def texts(folder: Path, count: int, *, first: int = 0) -> Path:
    """A folder of ``count`` files of prose."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"{number:05}.txt").write_text(prose(number), encoding="utf-8")
    return folder


def recipe(*sources: dict[str, Any], **changes: Any) -> CorpusRecipe:
    value: dict[str, Any] = {
        "name": "small",
        "tokenizer": {"train": {"vocabulary": 300}},
        "sources": list(sources),
    }
    return checked_corpus_recipe(value | changes)


def built(out: Path, *sources: dict[str, Any], **changes: Any) -> CorpusManifest:
    return Build(recipe(*sources, **changes), out).carry_out()


def refused(read: Callable[[], Iterable[object]]) -> str | None:
    """Why a file was refused while all of it was read; None if it was not."""
    try:
        for _ in read():
            pass
    except MalformedFileError as error:
        return error.message
    return None
