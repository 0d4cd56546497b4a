"""A tokenizer of single characters, as a GGUF file can hold it.

llama.cpp has no kind for it. Byte-level BPE would cut what is not ASCII into bytes; ``rwkv`` never
comes back from a character that begins with the bytes of one it knows. Its kind ``t5`` takes the
cheapest row of tokens, which of tokens of one character each is those characters, and has one for
what is unknown. Spaces are spelled as SentencePiece spells them, U+2581. That kind must have an
end: the unknown token is named, which no text that is trained on holds.

One thing differs: llama.cpp gives neighbours that are unknown one unknown token together, and here
each gets one.
"""

from __future__ import annotations

from collections.abc import Mapping

from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE

from studiolo.errors import UnsupportedModelError

_SPACE = "\u2581"


def spelled(character: str) -> str:
    """``character`` as such files spell it.

    Raises :class:`UnsupportedModelError` for U+2581, which there means a space.
    """
    if character == _SPACE:
        raise UnsupportedModelError(
            f"the character {character!r} cannot be written as GGUF: it stands for a space there"
        )
    return _SPACE if character == " " else character


def read_spelled(token: str) -> str:
    """The character behind a token; raises :class:`UnsupportedModelError` if that is longer."""
    if len(token) != 1:
        raise UnsupportedModelError(
            f"the token {token[:80]!r} is not one character; tokenizers of the kind t5 are "
            "supported where all are"
        )
    return " " if token == _SPACE else token


def character_level(vocabulary: Mapping[str, int], unknown: int | None) -> Tokenizer:
    """The tokenizer of these characters; ``unknown``: the id of what no token is for."""
    texts = {i: character for character, i in vocabulary.items()}
    unk_token = None if unknown is None else texts[unknown]
    backend = Tokenizer(BPE(dict(vocabulary), [], unk_token=unk_token))
    backend.decoder = decoders.Fuse()
    return backend
