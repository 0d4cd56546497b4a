"""The same text once: exact copies by their digest, kept in a table on disk."""

from __future__ import annotations

from hashlib import blake2b

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.seen import Seen
from studiolo.training.corpus.steps.rules import Rules


class ExactRules(Rules):
    """There is nothing to set."""


def exact(document: Document, seen: Seen) -> Document | Dropped:
    """Drop a text that was there before, in whatever source; remember one that was not."""
    digest = blake2b(document.text.encode("utf-8", "replace"), digest_size=16).digest()
    name = f"{document.source}: {document.identity}"
    first = seen.text(digest, name)
    return document if first is None else Dropped("is an exact copy", f"of {first}")
