"""A tokenizer with one token for each character of a text.

As a ``tokenizer.json``: a BPE model without merges, which ``transformers`` and our own reader load
and which gives every text back. A character that the text lacks becomes U+FFFD, the one token
that is added, so that nothing is dropped in silence.
"""

from __future__ import annotations

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import decoders, models

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.blueprint import Blueprint
from studiolo.modality.text.tokenizer import Tokenizer

UNKNOWN = "\ufffd"
MOST = 1 << 15


def alphabet(text: str) -> list[str]:
    """The characters of ``text`` and :data:`UNKNOWN`, in order of code point.

    Raises :class:`InvalidRequestError` for more than :data:`MOST`, which no network of this sort
    is meant for, and for lone surrogates, which are no characters.
    """
    found = sorted({*text, UNKNOWN})
    if any("\ud800" <= character <= "\udfff" for character in found):
        raise InvalidRequestError("data.path", "the text holds lone surrogates, no characters")
    if len(found) > MOST:
        raise InvalidRequestError(
            "data.tokenizer",
            f"the text holds {len(found):,} different characters, more than {MOST:,}",
            remedy="Name the directory of a tokenizer with larger pieces.",
        )
    return found


def character_tokenizer(characters: list[str]) -> Tokenizer:
    """The tokenizer whose ids are the places in ``characters``."""
    vocabulary = {character: i for i, character in enumerate(characters)}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token=UNKNOWN))
    backend.decoder = decoders.Fuse()
    return Tokenizer(Blueprint(backend, len(characters)))


def character_ids(text: str, characters: list[str]) -> NDArray[np.uint16]:
    """What the tokenizer makes of ``text``, at once: ``[len(text)]``."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    known = np.array([ord(character) for character in characters], np.uint32)
    places = np.searchsorted(known, points).clip(max=len(known) - 1)
    unknown = int(np.searchsorted(known, ord(UNKNOWN)))
    return np.where(known[places] == points, places, unknown).astype(np.uint16)
