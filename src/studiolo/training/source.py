"""From the path in a recipe to token ids, the tokenizer that spells them, and who made them.

A text file becomes ids at once, by a tokenizer of its own characters or by one named in the
recipe; a directory holds the token shards of a corpus, which are mapped and not read, and which
bring their own tokenizer, licence and held-out part. Deliberately unknown here: in which order ids
are read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.characters import alphabet, character_ids, character_tokenizer
from studiolo.training.corpus.manifest import read_manifest
from studiolo.training.corpus.shards import TRAINING, VALIDATION, map_shard
from studiolo.training.data import Tokens
from studiolo.training.recipe import DataRecipe

CHARACTERS = "characters"


@dataclass(frozen=True)
class Source:
    """``digest``: SHA-256 of the data as it lies there. ``held_out``: the part that a corpus keeps
    for validation itself; None where it is to be cut off.
    """

    tokens: Tokens
    tokenizer: Tokenizer
    digest: str
    licence: str
    held_out: Tokens | None = None

    def split(self, validation: float, least: int) -> tuple[Tokens, Tokens]:
        """What is trained on, and what is held out: a corpus's own part, or ``validation`` of all.

        Raises :class:`InvalidRequestError` if either has fewer than ``least`` tokens.
        """
        if self.held_out is None:
            return self.tokens.split(validation, least)
        for name, part in (("training", self.tokens), ("validation", self.held_out)):
            if len(part) < least:
                raise InvalidRequestError(
                    "data.path",
                    f"has {len(part):,} tokens for {name}, but one block needs {least:,}",
                    remedy="Build it of more documents or with a larger validation part, or lower "
                    "model.context.",
                )
        return self.tokens, self.held_out


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
    if path.is_dir():
        return _corpus(path, recipe, given)
    text, digest = _read_text(path)
    if given is None and recipe.tokenizer == CHARACTERS:
        characters = alphabet(text)
        tokens = Tokens.of(character_ids(text, characters))
        return Source(tokens, character_tokenizer(characters), digest, recipe.licence)
    tokenizer = given or Tokenizer.from_directory(Path(recipe.tokenizer).expanduser())
    ids = tokenizer.encode(text, add_special=False)
    kind = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    return Source(Tokens.of(np.array(ids, kind)), tokenizer, digest, recipe.licence)


def _corpus(path: Path, recipe: DataRecipe, given: Tokenizer | None) -> Source:
    """The shards in ``path``, mapped."""
    manifest = read_manifest(path)
    tokenizer = Tokenizer.from_directory(path)
    if given is not None:
        other, whose = given, "the model to go on from"
    elif recipe.tokenizer != CHARACTERS:
        other = Tokenizer.from_directory(Path(recipe.tokenizer).expanduser())
        whose = recipe.tokenizer
    else:
        other, whose = tokenizer, ""
    if other.to_json() != tokenizer.to_json():
        raise InvalidRequestError(
            "data.path",
            f"the corpus in {str(path)!r} is spelt by another tokenizer than that of {whose}",
            remedy="Build it with that as its tokenizer.",
        )
    tokens, held_out = (
        Tokens(shard.ids, shard.starts)
        for shard in (map_shard(path, part, manifest) for part in (TRAINING, VALIDATION))
    )
    licence = recipe.licence if "licence" in recipe.model_fields_set else manifest.licence
    return Source(tokens, other, manifest.digest, licence, held_out)


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
