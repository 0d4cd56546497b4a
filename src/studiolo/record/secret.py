"""Secrets: how a key's is made, written, read and compared, and what AWS clients are given.

A bearer secret is ``sk-studiolo-ID-RANDOM``: the key's id, which is no secret, and 256 random
bits. Only the SHA-256 of the random part is kept. A slow hash would protect what people choose
and others guess. Nobody guesses 256 bits, and a slow hash on each request invites overload.

Signatures of AWS (SigV4) are an HMAC with a secret that both sides hold, so a hash of it is not
enough. It is therefore not stored but derived, from the id and one *master secret* of this
installation, which lies beside the records and not in them: whoever reads the database can sign
nothing. Replicas on several machines are given the same master by ``STUDIOLO_SECRET``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from studiolo.bundle.store import home
from studiolo.errors import InvalidRequestError, MalformedFileError, RecordsError
from studiolo.record.private_file import make_once

if TYPE_CHECKING:
    from studiolo.sampler.watermark import Watermark

PREFIX = "sk-studiolo-"
AWS_PREFIX = "STUDIOLO"
ID_LENGTH = 12
MASTER_BYTES = 32
VARIABLE = "STUDIOLO_SECRET"
FILE = "secret"
_LETTERS = string.ascii_lowercase + string.digits
_FORM = re.compile(rf"{PREFIX}([a-z0-9]{{{ID_LENGTH}}})-([A-Za-z0-9_-]{{43}})", re.ASCII)
_AWS_FORM = re.compile(rf"{AWS_PREFIX}([A-Z0-9]{{{ID_LENGTH}}})", re.ASCII)
_NOBODY = bytes(32)
"""What the secret of a key that is not there is compared with; nothing known hashes to it."""


@dataclass(frozen=True)
class Secret:
    """A bearer secret. ``id``: the key's, public; ``random``: 43 of ``A-Z a-z 0-9 - _``."""

    id: str
    random: str = field(repr=False)

    @classmethod
    def made(cls) -> Self:
        """A new one, of a new key."""
        id = "".join(secrets.choice(_LETTERS) for _ in range(ID_LENGTH))
        return cls(id, secrets.token_urlsafe(32))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The secret that ``text`` is, or None if it has not the form of one."""
        found = _FORM.fullmatch(text)
        return None if found is None else cls(*found.groups())

    def __str__(self) -> str:
        return f"{PREFIX}{self.id}-{self.random}"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the random part: what is stored."""
        return hashlib.sha256(self.random.encode("ascii")).digest()

    def matches(self, stored: bytes | None) -> bool:
        """Whether its digest is the stored one; for None, of a key not there, after equal work."""
        same = hmac.compare_digest(self.digest, _NOBODY if stored is None else stored)
        return same and stored is not None


@dataclass(frozen=True)
class AwsCredentials:
    """What an AWS client is configured with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def of(cls, master: bytes, id: str) -> Self:
        """Those of the key ``id``: base64 of HMAC-SHA256(master, "aws4" + id)."""
        mac = hmac.digest(master, f"aws4{id}".encode("ascii"), "sha256")
        return cls(AWS_PREFIX + id.upper(), base64.b64encode(mac).decode("ascii"))


def id_of_access_key(access_key_id: str) -> str | None:
    """The id of the key whose access key id this is, or None if it has not the form of one."""
    found = _AWS_FORM.fullmatch(access_key_id)
    return None if found is None else found[1].lower()


def master_secret() -> bytes:
    """The 32 bytes of ``STUDIOLO_SECRET``, or of ``secret`` in Studiolo's home, made once.

    Raises :class:`InvalidRequestError` or :class:`MalformedFileError` if it is not 32 bytes, and
    :class:`RecordsError` if it can be neither read nor made.
    """
    if given := os.environ.get(VARIABLE, "").strip():
        return _decoded(given)
    path = home() / FILE
    try:
        if not path.exists():
            make_once(path, secrets.token_bytes(MASTER_BYTES))
        master = path.read_bytes()
    except OSError as error:
        raise RecordsError(f"{path} cannot be read or made: {error.strerror}") from None
    if len(master) != MASTER_BYTES:
        raise MalformedFileError(
            f"{path} holds {len(master):,} bytes and not {MASTER_BYTES}",
            remedy="Restore it from a backup. Without it, remove it: AWS clients then need the "
            "new secret access keys that `studiolo keys create` gives.",
        )
    return master


def has_master_secret() -> bool:
    """Whether there is one already; :func:`master_secret` would make it."""
    return bool(os.environ.get(VARIABLE, "").strip()) or (home() / FILE).exists()


def derived(purpose: str) -> bytes:
    """32 bytes for one purpose alone: HMAC-SHA256(master, purpose). Raises as the master does."""
    return hmac.digest(master_secret(), purpose.encode("ascii"), "sha256")


def watermark() -> Watermark:
    """What this installation marks its texts with. Raises as :func:`master_secret`."""
    from studiolo.sampler.watermark import Watermark

    return Watermark(derived("watermark 1"))


def _decoded(text: str) -> bytes:
    if re.fullmatch(f"[0-9a-fA-F]{{{2 * MASTER_BYTES}}}", text):
        return bytes.fromhex(text)
    plain = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        value = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        value = b""
    if len(value) != MASTER_BYTES:
        raise InvalidRequestError(
            VARIABLE,
            f"must be {MASTER_BYTES} bytes, as {2 * MASTER_BYTES} hexadecimal digits or in base64",
            remedy="`openssl rand -hex 32` makes one.",
        )
    return value
