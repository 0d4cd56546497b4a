"""One line of the log of receipts: what it says, how it is spelled, who signed it.

A line is canonical JSON (keys sorted, no spaces, ASCII), with these fields:

- ``number``: entries before it; entry 0 begins the log and tells of nothing;
- ``time``: when it was written, UTC, to the microsecond;
- ``receipt``: SHA-256 of the receipt's bytes;
- ``outputs``: a fingerprint of each text that the receipt tells of (:mod:`.fingerprint`);
- ``previous``: digest of the entry before;
- ``signature``: Ed25519, of the canonical JSON of number, time and digest.

The *digest* is the SHA-256 of the line without its signature. So each entry vouches for every
entry before it, and what is signed of the newest, its *head*, for the whole log until then. A head
is small, can be printed and kept elsewhere, and is checked without the log. No content is in a
line.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Annotated, Final, Self, TypeVar

from pydantic import Field, ValidationError

from studiolo.bundle.manifest import Frozen, Sha256, plainly
from studiolo.errors import MalformedFileError
from studiolo.record.fingerprint import Fingerprint
from studiolo.record.signing import PublicKey, SigningKey

PURPOSE: Final = "studiolo log entry 1"
NOTHING: Final = "0" * 64
MAX_LINE = 1 << 16
"""Bytes; an entry of as many outputs as it may have takes a seventh of it."""
MAX_OUTPUTS = 128

Number = Annotated[int, Field(ge=0, lt=1 << 63, strict=True)]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class Head(Frozen):
    """That the log had an entry with this number, time and digest, by its owner's signature."""

    number: Number
    time: Moment
    digest: Sha256
    signature: Signature

    @classmethod
    def parse(cls, data: bytes | str, where: str) -> Self:
        """The head that ``data`` is the JSON of; ``where`` is named in errors.

        Raises :class:`MalformedFileError`. Whose signature it has is not looked at.
        """
        return _parsed(cls, data, where, "a head")

    def to_bytes(self) -> bytes:
        """One line of JSON, with its end."""
        return _canonical(self.model_dump(mode="json")) + b"\n"

    def signed_by(self, key: PublicKey) -> bool:
        """Whether the signature is that of the key's owner."""
        said = _said(self.number, self.time, self.digest)
        return key.confirms(bytes.fromhex(self.signature), PURPOSE, said)


class Entry(Frozen):
    """What a line says."""

    number: Number
    time: Moment
    receipt: Sha256
    outputs: Annotated[tuple[Fingerprint, ...], Field(max_length=MAX_OUTPUTS)] = ()
    previous: Sha256
    signature: Signature

    @classmethod
    def signed(
        cls,
        key: SigningKey,
        *,
        after: Self | None,
        receipt: str = NOTHING,
        outputs: tuple[str, ...] = (),
    ) -> Self:
        """The entry that follows ``after``; without one, that which begins a log."""
        draft = cls(
            number=0 if after is None else after.number + 1,
            time=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            receipt=receipt,
            outputs=outputs,
            previous=NOTHING if after is None else after.digest,
            signature=NOTHING * 2,
        )
        signature = key.sign(PURPOSE, _said(draft.number, draft.time, draft.digest))
        return draft.model_copy(update={"signature": signature.hex()})

    @classmethod
    def parse(cls, line: bytes, where: str) -> Self:
        """The entry that ``line`` spells, without its line end; ``where`` is named in errors.

        Raises :class:`MalformedFileError` for any line that :meth:`to_line` would not write.
        Whose signature it has is not looked at.
        """
        entry = _parsed(cls, line, where, "an entry")
        if entry.to_line() != line:
            raise MalformedFileError(f"{where} is not spelled as an entry is")
        return entry

    def to_line(self) -> bytes:
        """The line, without its end."""
        return _canonical(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """SHA-256 of the line without the signature: what the next one names as ``previous``."""
        said = _canonical(self.model_dump(mode="json", exclude={"signature"}))
        return hashlib.sha256(said).hexdigest()

    @property
    def head(self) -> Head:
        """What is signed of it."""
        return Head(
            number=self.number, time=self.time, digest=self.digest, signature=self.signature
        )


F = TypeVar("F", bound=Frozen)


def _parsed(kind: type[F], data: bytes | str, where: str, what: str) -> F:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedFileError(f"{where} is not JSON") from None
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise MalformedFileError(f"{where} is not {what}: {plainly(error)}") from None


def _said(number: int, time: str, digest: str) -> bytes:
    return _canonical({"digest": digest, "number": number, "time": time})


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
