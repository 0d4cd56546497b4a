"""Personal data masked: the place where a masker ``str -> str`` is handed in.

Which data are personal, and what stands in their place, is the masker's to know.
"""

from __future__ import annotations

from collections.abc import Callable

from studiolo.training.corpus.document import Document, Dropped


def mask(document: Document, masker: Callable[[str], str]) -> Document | Dropped:
    """The document as the masker leaves it."""
    return document.saying(masker(document.text))
