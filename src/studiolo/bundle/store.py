"""The bundles on this machine: found, opened, checked, removed.

An installed bundle is ``STUDIOLO_HOME/models/NAME/`` with its ``bundle.json``. Any
Hugging Face directory or GGUF file that the user points at with a path can be opened
too; it is hashed only if somebody asks for its digest.

A name without a slash, a leading dot or a ``.gguf`` ending is always a name, never a
path, so that a folder that happens to lie about is not taken for a model.

Deliberately unknown here: how bundles get here (``pull``) and how weights are read.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from studiolo.bundle.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    FilePin,
    Origin,
    checked_name,
    digest_of,
    hash_file,
    plainly,
)
from studiolo.errors import (
    ChecksumError,
    InvalidRequestError,
    MalformedFileError,
    StudioloError,
    UnknownModelError,
)

_MAX_MANIFEST = 16 << 20
_GRAVE = ".removed-"
_LAYOUT = re.compile(
    r"[\w.-]+\.(json|safetensors|jinja|gguf|model)|merges\.txt|vocab\.txt|README\.md|LICEN[CS]E.*"
)


def home() -> Path:
    """Where everything is kept: ``STUDIOLO_HOME``, or the platform's user data folder."""
    if own := os.environ.get("STUDIOLO_HOME"):
        return Path(own).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("studiolo", appauthor=False)


def models_directory() -> Path:
    """The folder with one folder for every installed bundle."""
    return home() / "models"


def downloads_directory() -> Path:
    """The folder where bundles are put together before they are moved into place."""
    return home() / "downloads"


@dataclass(frozen=True)
class Bundle:
    """A model on this machine. ``path`` is its folder; ``names`` its files in there."""

    name: str
    path: Path
    names: tuple[str, ...]
    installed: BundleManifest | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Every file of the bundle, by name."""
        return {name: self.path / name for name in self.names}

    @property
    def weights(self) -> Path | None:
        """The GGUF file, or None if the folder has the Hugging Face layout."""
        found = [name for name in self.names if name.lower().endswith(".gguf")]
        return self.path / found[0] if found else None

    @cached_property
    def manifest(self) -> BundleManifest:
        """What ``bundle.json`` says; of a folder without one, what can be seen (hashes it)."""
        if self.installed is not None:
            return self.installed
        files = {name: hash_file(path) for name, path in self.files.items()}
        return describe(self.name, self.path, files, Origin(kind="path", where=str(self.path)))

    @property
    def digest(self) -> str:
        """One SHA-256 for all its files (see :func:`digest_of`)."""
        return self.manifest.digest


def describe(
    name: str, path: Path, files: dict[str, FilePin], source: Origin, licence: str = "unknown"
) -> BundleManifest:
    """A manifest from the files alone, for a model that no catalogue describes."""
    family, modality = "autoregressive", "text"
    with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
        config = json.loads((path / "config.json").read_bytes())
        architecture = str((config.get("architectures") or [""])[0])
        if architecture and not architecture.endswith(("ForCausalLM", "LMHeadModel")):
            family, modality = "encoder", "embedding"
    return BundleManifest(
        name=name,
        family=family,
        modality=modality,
        licence=licence,
        files=files,
        source=source,
        digest=digest_of(pin.sha256 for pin in files.values()),
    )


def find(name_or_path: str | os.PathLike[str]) -> Bundle | None:
    """The installed bundle of that name, or the one that lies at that path; else None.

    Raises :class:`MalformedFileError` for an installed bundle that is broken, and
    :class:`InvalidRequestError` for what is neither a name nor a path.
    """
    text = _as_text(name_or_path)
    if isinstance(name_or_path, os.PathLike) or looks_like_path(text):
        return open_path(as_path(text))
    try:
        directory = models_directory() / installed_name(text)
    except InvalidRequestError:
        return None
    return open_installed(directory) if directory.is_dir() else None


def _as_text(name_or_path: object) -> str:
    text = name_or_path
    if isinstance(name_or_path, os.PathLike):
        text = os.fspath(name_or_path)
    if not isinstance(text, str):
        shown = repr(name_or_path)
        raise InvalidRequestError(
            "name_or_path",
            f"must be a name or a path, not {shown if len(shown) <= 60 else shown[:57] + '...'}",
        )
    return text


def as_path(text: str) -> Path:
    """The path that ``text`` means, absolute; ``file:`` before it and ``~`` are understood.

    Raises :class:`InvalidRequestError` for the home of a user who is not known.
    """
    try:
        return Path(text.removeprefix("file:")).expanduser().absolute()
    except RuntimeError:
        raise InvalidRequestError(
            "name_or_path", f"{text!r} names the home of a user who is not known here"
        ) from None


def looks_like_path(text: str) -> bool:
    """Whether ``text`` is meant as a path on this machine rather than as a name."""
    if text.startswith("file:"):
        return True
    if text.startswith(("hf:", "https:", "http:")):
        return False
    return "/" in text or os.sep in text or text.startswith((".", "~")) or text.endswith(".gguf")


def installed_name(text: str) -> str:
    """Under which name ``text`` is installed: ``hf:owner/name`` becomes ``owner--name``.

    Raises :class:`InvalidRequestError` if it cannot be a name.
    """
    if text.startswith("hf:"):
        return checked_name(text.removeprefix("hf:").removesuffix(".gguf").replace("/", "--"))
    return checked_name(text)


def open_installed(directory: Path) -> Bundle:
    """The bundle in ``directory``, its ``bundle.json`` read and its sizes compared."""
    path = directory / MANIFEST_NAME
    remedy = afresh(directory.name)
    try:
        if path.stat().st_size > _MAX_MANIFEST:
            raise MalformedFileError(f"{path} is larger than any manifest", remedy=remedy)
        manifest = BundleManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise MalformedFileError(f"{path}: {error.strerror}", remedy=remedy) from None
    except ValidationError as error:
        raise MalformedFileError(f"{path}: {plainly(error)}", remedy=remedy) from None
    for name, pin in manifest.files.items():
        file = directory / name
        if not file.is_file() or file.stat().st_size != pin.size:
            raise MalformedFileError(
                f"{file} is {'not the size it should be' if file.is_file() else 'missing'}",
                remedy=remedy,
            )
    return Bundle(directory.name, directory, tuple(manifest.files), manifest)


def afresh(name: str) -> str:
    """How to replace an installed bundle that is damaged."""
    return f"`studiolo remove {name}`, then `studiolo pull {name}`."


def open_path(path: Path) -> Bundle | None:
    """A GGUF file or a Hugging Face directory as a bundle, or None if there is neither."""
    path = path.absolute()
    if path.is_file() and path.suffix.lower() == ".gguf":
        return Bundle(path.stem, path.parent, (path.name,))
    if not path.is_dir():
        return None
    if (path / MANIFEST_NAME).is_file():
        return open_installed(path)
    names = layout_names(path)
    if "config.json" in names:
        without_gguf = tuple(name for name in names if not name.lower().endswith(".gguf"))
        return Bundle(path.name, path, without_gguf)
    ggufs = tuple(name for name in names if name.lower().endswith(".gguf"))
    return Bundle(path.name, path, ggufs) if len(ggufs) == 1 else None


def layout_names(directory: Path) -> list[str]:
    """The files of a model's folder that belong to the model, in order of name."""
    below = [*directory.glob("*"), *directory.glob("[0-9]_*/*")]
    found = [
        path.relative_to(directory).as_posix()
        for path in below
        if path.is_file() and _LAYOUT.fullmatch(path.name) and path.name != MANIFEST_NAME
    ]
    return sorted(found)


def installed() -> list[Bundle]:
    """Every installed bundle that is whole, in order of name."""
    return [bundle for bundle in _openable() if isinstance(bundle, Bundle)]


def broken() -> dict[str, StudioloError]:
    """The installed bundles that cannot be opened, with the reason."""
    return {
        directory.name: error
        for directory, error in ((d, _try_open(d)) for d in _directories())
        if isinstance(error, StudioloError)
    }


def _openable() -> Iterator[Bundle | StudioloError]:
    return (_try_open(directory) for directory in _directories())


def _try_open(directory: Path) -> Bundle | StudioloError:
    try:
        return open_installed(directory)
    except StudioloError as error:
        return error


def _directories() -> list[Path]:
    parent = models_directory()
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def verify(bundle: Bundle) -> None:
    """Hash every file again; raises :class:`ChecksumError` naming the first that differs."""
    for name, pin in bundle.manifest.files.items():
        if hash_file(bundle.path / name) != pin:
            raise ChecksumError(
                f"{bundle.path / name} has changed since it was fetched",
                remedy=afresh(bundle.name),
            )


def is_here(name: str) -> bool:
    """Whether :func:`remove` would find something: a bundle, whole or not, or a part of one."""
    name = installed_name(name)
    return (models_directory() / name).exists() or (downloads_directory() / name).exists()


def remove(name: str) -> None:
    """Delete the installed bundle ``name`` and what an interrupted pull of it left.

    Raises :class:`UnknownModelError` if there is neither. What is being pulled or
    removed by another process is waited for.
    """
    name = installed_name(name)
    directory, partial = models_directory() / name, downloads_directory() / name
    if not is_here(name):
        raise UnknownModelError(name, [path.name for path in _directories()])
    with lock(name):
        for path in (directory, partial):
            discard(path)


def discard(directory: Path) -> None:
    """Delete a folder so that nobody ever sees half of it: first renamed, then emptied."""
    if not directory.exists():
        return
    downloads_directory().mkdir(parents=True, exist_ok=True)
    directory.rename(downloads_directory() / f"{_GRAVE}{uuid.uuid4().hex}")
    bury()


def bury() -> None:
    """Empty what :func:`discard` has renamed, also what a killed process left of it."""
    for grave in downloads_directory().glob(f"{_GRAVE}*"):
        shutil.rmtree(grave, ignore_errors=True)


@contextlib.contextmanager
def lock(name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of the bundle ``name``; calls ``waiting()`` once if it must be waited for."""
    from filelock import FileLock, Timeout

    folder = home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    guard = FileLock(folder / f"{name}.lock")
    try:
        guard.acquire(timeout=0)
    except Timeout:
        if waiting is not None:
            waiting()
        guard.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        guard.release()
