r"""Pseudonyms: personal data in a form that the key's holder alone can read, and undo.

What is hidden becomes ``{KIND:TOKEN}``, the token being the value encrypted by AES-256-SIV
(RFC 5297) with the kind as associated data, in URL-safe Base64:

.. math:: t = \mathrm{SIV}_k(\mathrm{kind}, v), \qquad v = \mathrm{SIV}_k^{-1}(\mathrm{kind}, t)

Notable choices. *No table*: the token is the value, so that nothing must be kept but the key.
*Deterministic*: equal values of one kind get equal tokens under one key, so that a masked text can
still be counted, joined and learnt from; who sees two equal tokens knows that the values are equal,
and nothing else but their length. *Authenticated*: 128 bits tell a token from text that looks like
one, which is left as it is. Equal means equal to the letter: “Ann” and “ann” are two.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from studiolo.errors import InvalidRequestError, MissingExtraError
from studiolo.guard.finding import Kind

KEY_BYTES = 32
"""Least length of a key."""

_TOKEN = re.compile(rf"\{{({'|'.join(Kind)}):([A-Za-z0-9_-]{{22,16384}})\}}")
_MAX_FILE = 1 << 16


class Pseudonyms:
    """Makes and undoes them with ``key``: at least 32 bytes, from a source of chance."""

    def __init__(self, key: bytes) -> None:
        """Raises :class:`InvalidRequestError` for a key too short, :class:`MissingExtraError`."""
        if len(key) < KEY_BYTES:
            raise InvalidRequestError(
                "key",
                f"has {len(key)} bytes; at least {KEY_BYTES} are needed",
                remedy=f"Make one: head -c {KEY_BYTES} /dev/urandom > key",
            )
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESSIV
            from cryptography.hazmat.primitives.hashes import SHA512
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        except ImportError:
            raise MissingExtraError("a pseudonym", "guard") from None
        derived = HKDF(SHA512(), 64, salt=None, info=b"studiolo pseudonyms 1").derive(key)
        self._siv = AESSIV(derived)

    @classmethod
    def read(cls, path: Path) -> Pseudonyms:
        """With the bytes of a file as the key; :class:`InvalidRequestError` if it cannot be."""
        try:
            with path.open("rb") as file:
                key = file.read(_MAX_FILE + 1)
        except OSError as error:
            raise InvalidRequestError(
                "key-file", f"{str(path)!r} cannot be read: {error.strerror or error}"
            ) from None
        if not KEY_BYTES <= len(key) <= _MAX_FILE:
            raise InvalidRequestError(
                "key-file",
                f"{str(path)!r} has {'more than ' if len(key) > _MAX_FILE else ''}"
                f"{min(len(key), _MAX_FILE):,} bytes; a key has {KEY_BYTES} to {_MAX_FILE:,}",
                remedy=f"Make one: head -c {KEY_BYTES} /dev/urandom > {path.name}",
            )
        return cls(key)

    def hide(self, value: str, kind: Kind) -> str:
        """The pseudonym of ``value``, which must not be empty."""
        sealed = self._siv.encrypt(value.encode("utf-8", "surrogatepass"), [kind.encode()])
        return f"{{{kind}:{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}}}"

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where ``text`` holds pseudonyms of this key."""
        return [
            each.span()
            for each in _TOKEN.finditer(text)
            if self._value(each[1], each[2]) is not None
        ]

    def undo(self, text: str) -> str:
        """``text`` with every pseudonym of this key replaced by its value; the rest untouched."""
        return _TOKEN.sub(lambda each: self._value(each[1], each[2]) or each[0], text)

    def _value(self, kind: str, token: str) -> str | None:
        """None for what this key has not made."""
        from cryptography.exceptions import InvalidTag

        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            return self._siv.decrypt(sealed, [kind.encode()]).decode("utf-8", "surrogatepass")
        except (InvalidTag, binascii.Error, ValueError):
            return None
