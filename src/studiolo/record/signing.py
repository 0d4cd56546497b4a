"""The key that this installation signs with: Ed25519 (RFC 8032), made when it is first needed.

It lies in ``signing.pem`` of Studiolo's home (PKCS #8, unencrypted, mode 0600), apart from the
master secret: that one may be changed or shared, and whoever keeps our public key must be able to
go on believing it. What is signed says what it is in its first line, so that a signature for one
purpose is none for another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from studiolo.bundle.store import home
from studiolo.errors import InvalidRequestError, MalformedFileError, RecordsError
from studiolo.record.private_file import make_once

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

FILE = "signing.pem"
_LOST = "Restore it from a backup."


@dataclass(frozen=True)
class PublicKey:
    """What signatures are checked with; anybody may have it."""

    key: Ed25519PublicKey = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a PEM file (SubjectPublicKeyInfo), as :attr:`pem` writes it.

        Raises :class:`InvalidRequestError` for a file that cannot be read, and
        :class:`MalformedFileError` for one that holds no Ed25519 public key.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            with path.open("rb") as file:
                data = file.read(1 << 16)
        except OSError as error:
            why = f"{str(path)!r} cannot be read: {error.strerror}"
            raise InvalidRequestError("key", why) from None
        try:
            found = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            found = None
        if not isinstance(found, Ed25519PublicKey):
            raise MalformedFileError(
                f"{path} holds no Ed25519 public key in PEM",
                remedy="`studiolo verify --show-key` prints such a file.",
            )
        return cls(found)

    @property
    def raw(self) -> bytes:
        """The 32 bytes."""
        return self.key.public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the 32 bytes, in hexadecimal: what two people compare."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def pem(self) -> str:
        """The key as a file."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        written: bytes = self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return written.decode("ascii")

    def confirms(self, signature: bytes, purpose: str, data: bytes) -> bool:
        """Whether ``signature`` is the key's owner's of ``data``, for this ``purpose``."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, _said(purpose, data))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """What this installation signs with."""

    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def installed(cls, *, make: bool = True) -> Self:
        """That of this home; made if it is not there, unless ``make`` is false.

        Raises :class:`RecordsError` if it can be neither read nor made, and
        :class:`MalformedFileError` if the file holds none.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = home() / FILE
        try:
            if make and not path.exists():
                make_once(path, _written(Ed25519PrivateKey.generate()))
            data = path.read_bytes()
        except FileNotFoundError:
            raise RecordsError(
                f"{path}, with which this installation signs, is not there", remedy=_LOST
            ) from None
        except OSError as error:
            raise RecordsError(f"{path} cannot be read or made: {error.strerror}") from None
        try:
            found = load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            found = None
        if not isinstance(found, Ed25519PrivateKey):
            raise MalformedFileError(f"{path} holds no Ed25519 key in PEM", remedy=_LOST)
        return cls(found)

    @property
    def public(self) -> PublicKey:
        """The other half."""
        return PublicKey(self.key.public_key())

    def sign(self, purpose: str, data: bytes) -> bytes:
        """64 bytes that only the owner of this key can make of ``data``, for this ``purpose``."""
        return self.key.sign(_said(purpose, data))


def _said(purpose: str, data: bytes) -> bytes:
    return purpose.encode("ascii") + b"\n" + data


def _written(key: Ed25519PrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
