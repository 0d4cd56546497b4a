"""From the path in a recipe to token ids, the tokenizer that spells them, and who made them.

A text file becomes ids at once, by a tokenizer of its own characters or by one named in the
recipe; a directory holds token shards, which are mapped and not read. Deliberately unknown here:
in which order ids are read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.characters import alphabet, character_ids, character_tokenizer
from studiolo.training.data import Tokens
from studiolo.training.recipe import DataRecipe

CHARACTERS = "characters"


@dataclass(frozen=True)
class Source:
    """``digest``: SHA-256 of the data as it lies there."""

    tokens: Tokens
    tokenizer: Tokenizer
    digest: str
    licence: str


def read_source(recipe: DataRecipe, given: Tokenizer | None = None) -> Source:
    """Read or map what the recipe names; ``given``: the tokenizer of a model to go on from.

    Raises :class:`InvalidRequestError`, naming the field, for a path that is not given, not
    there, empty or no text, and what a tokenizer's reader raises.
    """
    if recipe.path is None:
        raise InvalidRequestError(
            "data.path", "is not given", remedy="Name a text file: --set data.path=FILE"
        )
    path = Path(recipe.path).expanduser()
    text, digest = _read_text(path)
    if given is None and recipe.tokenizer == CHARACTERS:
        characters = alphabet(text)
        tokens = Tokens.of(character_ids(text, characters))
        return Source(tokens, character_tokenizer(characters), digest, recipe.licence)
    tokenizer = given or Tokenizer.from_directory(Path(recipe.tokenizer).expanduser())
    ids = tokenizer.encode(text, add_special=False)
    kind = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    return Source(Tokens.of(np.array(ids, kind)), tokenizer, digest, recipe.licence)


def _read_text(path: Path) -> tuple[str, str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(
            "data.path", f"{str(path)!r} cannot be read: {error.strerror}"
        ) from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            "data.path",
            f"{str(path)!r} is no UTF-8 text: byte {error.start:,} is {data[error.start]:#x}",
            remedy="A language model learns from text; convert the file, or name another.",
        ) from None
    if not text:
        raise InvalidRequestError("data.path", f"{str(path)!r} is empty")
    return text, hashlib.sha256(data).hexdigest()
