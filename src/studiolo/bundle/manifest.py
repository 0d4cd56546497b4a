"""What stands in a bundle, and what may be called what.

``bundle.json`` is a :class:`BundleManifest`: what the model is, which files make it
up by SHA-256 and size, where it came from, and what is known about its making. The
catalogue uses the same :class:`FilePin`, so that "the file that was promised" and
"the file that is here" are the same kind of value.

Names become folders, so they are checked here, once, for everybody.

Deliberately unknown here: where bundles are kept (``store``) and how the files are
read (the readers).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from studiolo.errors import InvalidRequestError

MANIFEST_NAME = "bundle.json"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")


def checked_name(name: str) -> str:
    """``name`` if it can name a bundle: 1 to 128 of ``A-Z a-z 0-9 . _ -``, no edge ``. _ -``.

    Raises :class:`InvalidRequestError` otherwise, so that no name leads out of the
    folder that holds the models.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise InvalidRequestError(
            "name",
            f"{name!r} cannot name a model: use letters, digits, '.', '_' and '-', "
            "128 at most, beginning and ending with a letter or digit",
        )
    return name


def checked_member(name: str) -> str:
    """``name`` if it is a plain relative path inside a bundle; raises ValueError otherwise."""
    parts = name.split("/")
    if (
        not name
        or len(name) > 512
        or any(part in ("", ".", "..") for part in parts)
        or any(ord(character) < 32 or character in '\\:*?"<>|' for character in name)
        or name == MANIFEST_NAME
        or name.endswith(".part")
    ):
        raise ValueError(f"{name!r} is not a plain relative file name")
    return str(PurePosixPath(name))


MemberName = Annotated[str, AfterValidator(checked_member)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, lower-case hex")]
Size = Annotated[int, Field(ge=0, le=1 << 50, strict=True, description="bytes")]


class Frozen(BaseModel):
    """A value that cannot change and knows exactly its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FilePin(Frozen):
    """One file, pinned: any byte that differs makes it another file."""

    sha256: Sha256
    size: Size


class Lineage(Frozen):
    """What a model was made from; empty for one that was fetched ready-made."""

    parents: tuple[str, ...] = Field((), description="digests of the bundles it was trained from")
    data: tuple[str, ...] = Field((), description="digests of the data manifests it has seen")
    recipe: str | None = Field(None, description="digest of the recipe that made it")


class Origin(Frozen):
    """Where the files were fetched from, and when."""

    kind: str = Field(description="hub, index, url, file or directory")
    where: str = Field(description="the source as a reader would name it")
    fetched: str | None = Field(None, description="UTC time, ISO 8601")


class BundleManifest(Frozen):
    """The content of ``bundle.json``."""

    format: int = Field(1, ge=1, le=1, description="version of this file's format")
    name: str
    family: str = Field(description="how it is made: autoregressive, encoder, …")
    modality: str = Field(description="what it makes: text, embedding, …")
    parameters: int | None = Field(None, ge=0)
    licence: str = "unknown"
    context_length: int | None = Field(None, ge=1, description="tokens")
    defaults: Mapping[str, int | float] = Field({}, description="recommended decoding settings")
    files: Mapping[MemberName, FilePin]
    source: Origin
    lineage: Lineage = Lineage()
    quality: Mapping[str, float] = Field({}, description="measured, by name")
    digest: Sha256

    @model_validator(mode="after")
    def _digest_is_of_the_files(self) -> Self:
        if self.digest != digest_of(pin.sha256 for pin in self.files.values()):
            raise ValueError("digest is not that of the files")
        return self


def digest_of(checksums: Iterable[str]) -> str:
    """One SHA-256 for a set of files: that of their sorted hex digests, one to a line.

    File names do not enter, so a file that was merely renamed has the same digest.
    """
    return hashlib.sha256("".join(f"{sum_}\n" for sum_ in sorted(checksums)).encode()).hexdigest()


def hash_file(path: Path) -> FilePin:
    """SHA-256 and size of the file at ``path``, read once from front to back."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FilePin(sha256=digest, size=file.tell())


def plainly(error: ValidationError, limit: int = 5) -> str:
    """A pydantic error as ``field.path: reason`` lines, without its machinery."""
    lines = [
        f"{'.'.join(str(part) for part in item['loc']) or 'top level'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = [f"… and {len(lines) - limit} more"] if len(lines) > limit else []
    return "\n".join(lines[:limit] + more)
