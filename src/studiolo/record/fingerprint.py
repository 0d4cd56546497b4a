"""A fingerprint of an output: by it one who has the text finds it in the log, and nobody else.

A plain digest of a short answer would tell what the answer was: whoever reads the log tries "yes",
and "no". So the digest is keyed, with a key that follows from the installation's master secret. It
is of the text as people pass it on: line ends, outer white space and the spelling of composed
characters (NFC) do not count, since an editor, a terminal or a mail changes them.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from studiolo.record.secret import derived

Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="HMAC-SHA256")]
PURPOSE = "output fingerprint 1"


def of_text(text: str) -> str:
    """The fingerprint of a text. Raises what :func:`~studiolo.record.secret.master_secret` does."""
    return of_texts()(text)


def of_texts() -> Callable[[str], str]:
    """:func:`of_text` for many, which reads the secret once."""
    key = derived(PURPOSE)

    def fingerprint(text: str) -> str:
        plain = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
        return hmac.digest(
            key, b"text\n" + plain.strip().encode("utf-8", "surrogatepass"), "sha256"
        ).hex()

    return fingerprint


def of_bytes(data: bytes) -> str:
    """The fingerprint of a file that is no text, every byte of which counts."""
    return hmac.digest(derived(PURPOSE), b"bytes\n" + data, "sha256").hex()
