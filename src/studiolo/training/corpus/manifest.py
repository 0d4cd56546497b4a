"""What a corpus is and how it came to be, as ``manifest.json``: read by people and by training.

It holds no time and no place of the machine that made it, so that the same recipe and the same
data give the same bytes. The corpus's digest is that of its files' digests, as a bundle's is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from studiolo.bundle.manifest import FilePin, Frozen, digest_of, plainly
from studiolo.errors import MalformedFileError, SourceError

NAME = "manifest.json"
FORMAT = "studiolo corpus"
MAX_BYTES = 1 << 28


class Example(Frozen):
    """A document to look at. ``detail``: why it was dropped. ``text``: its beginning."""

    identity: str
    detail: str = ""
    text: str = ""


class Reason(Frozen):
    """Documents that one step dropped for one reason, and the first few of them."""

    count: int
    examples: tuple[Example, ...] = ()


class StepReport(Frozen):
    """What one step did to the documents of a source that came to it."""

    changed: int = 0
    dropped: int = 0
    reasons: Mapping[str, Reason] = {}


class Portion(Frozen):
    """Documents of one source in one part; ``documents`` and all else count repeated ones again.

    ``first``: place of the first token in the part's file. ``bytes``: of the text, as UTF-8.
    """

    documents: int = 0
    bytes: int = 0
    tokens: int = 0
    first: int = 0


class SourceReport(Frozen):
    """One source. ``digest``: SHA-256 over the names and the SHA-256 of its files.

    ``licences``: number of kept documents by licence. ``lengths``: kept documents by tokens, the
    n-th those of 2ⁿ to 2ⁿ⁺¹ − 1.
    """

    name: str
    kinds: Mapping[str, int]
    licence: str
    weight: float
    digest: str
    files: int
    read: Portion
    unreadable: Reason
    steps: Mapping[str, StepReport]
    kept: Portion
    licences: Mapping[str, int]
    training: Portion
    validation: Portion
    bytes_per_token: float | None
    lengths: tuple[int, ...]
    samples: tuple[Example, ...]


class CorpusManifest(Frozen):
    """A whole corpus. ``end``: the token after each document, or None if the tokenizer has none.

    ``recipe``: the recipe's values, and ``recipe_digest`` their SHA-256.
    """

    format: Literal["studiolo corpus"] = "studiolo corpus"
    version: Literal[1] = 1
    name: str
    licence: str
    digest: str
    dtype: Literal["uint16", "uint32"]
    vocabulary: int
    end: int | None
    training: Portion
    validation: Portion
    bytes_per_token: float | None
    sources: tuple[SourceReport, ...]
    files: Mapping[str, FilePin]
    recipe_digest: str
    recipe: Mapping[str, Any]


def read_manifest(folder: Path) -> CorpusManifest:
    """The manifest of the corpus in ``folder``, whose files must be there in their full size.

    Raises :class:`SourceError` if there is none and :class:`MalformedFileError` if it is damaged
    or a file is not as it says; digests are not computed again.
    """
    path = folder / NAME
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(
            f"{folder}: is no corpus: {path.name} cannot be read: {error.strerror}",
            remedy="`studiolo data build RECIPE --out DIR` makes one.",
        ) from None
    if len(data) > MAX_BYTES:
        raise MalformedFileError(f"{path}: is larger than {MAX_BYTES:,} bytes")
    try:
        manifest = CorpusManifest.model_validate_json(data)
    except ValidationError as error:
        raise MalformedFileError(
            f"{path}: {plainly(error)}", remedy="Build the corpus again."
        ) from None
    if manifest.digest != digest_of(pin.sha256 for pin in manifest.files.values()):
        raise MalformedFileError(f"{path}: its digest is not that of its files")
    for name, pin in manifest.files.items():
        own = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise MalformedFileError(f"{path}: names {name!r}, which lies elsewhere")
        size = own.stat().st_size if own.is_file() else None
        if size != pin.size:
            found = "is not there" if size is None else f"has {size:,} bytes, not {pin.size:,}"
            raise MalformedFileError(f"{own}: {found}", remedy="Build the corpus again.")
    return manifest
