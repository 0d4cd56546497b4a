"""Token ids to bytes, one token at a time.

The library decodes a whole list at once; a stream needs the bytes that each token
adds. For every decoder in use the bytes of a token depend only on the token and on
whether it is the first one shown, which is what this file computes; the text is
then those bytes as UTF-8, each invalid sequence becoming U+FFFD (as byte-level BPE
does everywhere, and as llama.cpp does for byte tokens). The library differs in one
corner: when a run of SentencePiece byte tokens holds *any* invalid byte, it shows
the *whole* run as U+FFFD, which no stream could do without waiting for its end.

Deliberately unknown here: how text becomes ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import tokenizers

from studiolo.errors import UnsupportedModelError

_BYTE_TOKENS = {f"<0x{byte:02X}>": bytes([byte]) for byte in range(256)}
_WORD_PIECE_TIDY = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)

Step = Callable[[str, bool], "str | bytes"]


def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable character for each byte (Radford et al. 2019, released encoder).

    Printable Latin-1 stands for itself; the other 68 bytes are U+0100 onwards.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    return alphabet | {chr(0x100 + rank): byte for rank, byte in enumerate(others)}


class Spelling:
    """The bytes of each token of one tokenizer.

    ``kind`` names the sort of tokenizer for people. Raises
    :class:`UnsupportedModelError` for a decoder that cannot be spelled token by token.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self._backend = backend
        self._cache: dict[tuple[int, bool], bytes] = {}
        self.leading_spaces = 0
        self._steps: list[Step] = []
        decoder = backend.decoder
        if decoder is None:
            self._steps.append(lambda text, first: text if first else " " + text)
        else:
            self._read(json.loads(decoder.__getstate__()))
        self.kind = _kind(type(backend.model).__name__, decoder is not None, self._steps)

    def bytes_of(self, token_id: int, *, first: bool) -> bytes:
        """What a token adds to the text; nothing for an id that the vocabulary lacks."""
        key = (token_id, first)
        known = self._cache.get(key)
        if known is None:
            known = self._cache[key] = self._spell(token_id, first)
        return known

    def _spell(self, token_id: int, first: bool) -> bytes:
        value: str | bytes | None = self._backend.id_to_token(token_id)
        for step in self._steps:
            if isinstance(value, str):
                value = step(value, first)
        if isinstance(value, str):
            # "replace" cannot come up: the library holds only valid UTF-8.
            return value.encode("utf-8", "replace")
        return value or b""

    def _read(self, decoder: dict[str, object]) -> None:
        kind = decoder.get("type")
        if kind == "Sequence":
            steps = decoder.get("decoders")
            for step in steps if isinstance(steps, list) else []:
                self._read(step)
        elif kind == "ByteLevel":
            self._steps.append(_ByteLevel())
        elif kind == "ByteFallback":
            self._steps.append(_byte_fallback)
        elif kind == "Metaspace":
            prepends = decoder.get("prepend_scheme", "always") != "never"
            self._steps.append(_Metaspace(str(decoder.get("replacement", "▁")), prepends))
        elif kind == "WordPiece":
            tidy = bool(decoder.get("cleanup", True))
            self._steps.append(_WordPiece(str(decoder.get("prefix", "##")), tidy))
        elif kind == "Replace" and isinstance(pattern := decoder.get("pattern"), dict):
            if "String" not in pattern:
                raise UnsupportedModelError("the tokenizer decodes through a regular expression")
            self._steps.append(_Replace(str(pattern["String"]), str(decoder.get("content", ""))))
        elif kind == "Strip" and decoder.get("content") == " " and not decoder.get("stop"):
            start = decoder.get("start", 0)
            self.leading_spaces += start if isinstance(start, int) else 0
        elif kind != "Fuse":
            raise UnsupportedModelError(f"the tokenizer's decoder {kind!r} is not supported")


class Speller:
    """Walks along one text: the bytes that each further token adds."""

    def __init__(self, spelling: Spelling, skip: frozenset[int]) -> None:
        self._spelling = spelling
        self._skip = skip
        self._first = True
        self._spaces_to_drop = spelling.leading_spaces

    def feed(self, token_id: int) -> bytes:
        """The bytes of ``token_id`` in this place; none if it is to be skipped."""
        if token_id in self._skip:
            return b""
        piece = self._spelling.bytes_of(token_id, first=self._first)
        self._first = False
        while self._spaces_to_drop and piece:
            if piece[:1] != b" ":
                self._spaces_to_drop = 0
            else:
                self._spaces_to_drop -= 1
                piece = piece[1:]
        return piece


class _ByteLevel:
    def __init__(self) -> None:
        self._alphabet = byte_alphabet()

    def __call__(self, text: str, first: bool) -> bytes:
        try:
            return bytes(self._alphabet[character] for character in text)
        except KeyError:  # an added token, written as itself
            return text.encode("utf-8", "replace")


def _byte_fallback(text: str, first: bool) -> str | bytes:
    return _BYTE_TOKENS.get(text.upper().replace("X", "x"), text) if len(text) == 6 else text


class _Metaspace:
    def __init__(self, mark: str, prepends: bool) -> None:
        self._mark, self._prepends = mark, prepends

    def __call__(self, text: str, first: bool) -> str:
        return text.replace(self._mark, "" if first and self._prepends else " ")


class _Replace:
    def __init__(self, pattern: str, content: str) -> None:
        self._pattern, self._content = pattern, content

    def __call__(self, text: str, first: bool) -> str:
        return text.replace(self._pattern, self._content) if self._pattern else text


class _WordPiece:
    def __init__(self, prefix: str, tidy: bool) -> None:
        self._prefix, self._tidy = prefix, tidy

    def __call__(self, text: str, first: bool) -> str:
        if not first:
            joined = text.startswith(self._prefix)
            text = text[len(self._prefix) :] if joined else " " + text
        for pattern, tidier in _WORD_PIECE_TIDY if self._tidy else ():
            text = text.replace(pattern, tidier)
        return text


def _kind(model: str, has_decoder: bool, steps: list[Step]) -> str:
    if any(isinstance(step, _ByteLevel) for step in steps):
        return f"byte-level {model}"
    if model == "BPE" and has_decoder:
        return "SentencePiece-style BPE"
    return model
