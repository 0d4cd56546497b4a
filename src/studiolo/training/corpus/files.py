"""From a source to its files, one after the other in the order of their names.

A folder is walked without following links to folders; what is hidden (a name that begins with a
dot) and ``__pycache__`` are passed over. A package is found and not imported. Deliberately unknown
here: what is in a file.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.machinery import PathFinder
from pathlib import Path

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.kinds import Kind, belongs, kind_of
from studiolo.training.corpus.recipe import SourceRecipe

_NOT_ITS_OWN = ("site-packages", "dist-packages")
"""What lies in the folder of Python's library and is not it."""


@dataclass(frozen=True)
class File:
    """``name``: its path below the source's own, by which its documents are called."""

    path: Path
    name: str
    kind: Kind


def files(source: SourceRecipe) -> Iterator[File]:
    """The files of a source, at least one.

    Raises :class:`InvalidRequestError`, naming the source's field, for a place that is not there,
    a file whose kind its name does not tell, and a folder without any that fits.
    """
    if source.hf is not None:
        from studiolo.training.corpus.hub import hub_files

        yield from (File(path, name, source.kind or "parquet") for path, name in hub_files(source))
        return
    root, field = _root(source)
    if not root.is_dir():
        kind = source.kind or kind_of(root)
        if kind is None:
            raise InvalidRequestError(
                f"sources.{source.name}.kind",
                f"is not given, and {root.name!r} does not tell it",
                remedy="Say what it is, such as kind: text.",
            )
        yield File(root, root.name, kind)
        return
    own = source.kind or ("code" if source.package is not None else None)
    found = False
    passed_over = ("__pycache__", *(_NOT_ITS_OWN if source.package == "stdlib" else ()))
    for path in _walk(root, Path(), passed_over):
        name = path.relative_to(root).as_posix()
        if not (fnmatch(name, source.pattern) or fnmatch(path.name, source.pattern)):
            continue
        kind = own or kind_of(path)
        # A pattern of one's own picks out files of any name; without, only those of the kind.
        if kind is None or (own and source.pattern == "*" and not belongs(path, own)):
            continue
        found = True
        yield File(path, name, kind)
    if not found:
        raise InvalidRequestError(
            field,
            f"there is no file to read in {str(root)!r}",
            remedy="Name a kind or a pattern that fits the files there.",
        )


def _root(source: SourceRecipe) -> tuple[Path, str]:
    if source.package is not None:
        return _package(source.name, source.package), f"sources.{source.name}.package"
    field = f"sources.{source.name}.path"
    path = Path(source.path or "").expanduser()
    if not path.exists():
        raise InvalidRequestError(field, f"{str(path)!r} is not there")
    return path, field


def _package(source: str, name: str) -> Path:
    if name == "stdlib":
        return Path(sysconfig.get_path("stdlib"))
    place: list[str] | None = None
    spec = None
    for part in name.split("."):
        spec = PathFinder.find_spec(part, place)
        if spec is None:
            break
        place = list(spec.submodule_search_locations or [])
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec is not None and spec.origin and spec.origin.endswith(".py"):
        return Path(spec.origin)
    raise InvalidRequestError(
        f"sources.{source}.package",
        f"no Python package {name!r} with source code is installed",
        remedy="Install it for this Python, or give the path of its folder by `path`.",
    )


def _walk(root: Path, below: Path, passed_over: Sequence[str]) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidRequestError(
            "sources", f"{str(root / below)!r} cannot be read: {error.strerror}"
        ) from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name in passed_over:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, below / entry.name, passed_over)
        elif entry.is_file():
            yield root / below / entry.name
