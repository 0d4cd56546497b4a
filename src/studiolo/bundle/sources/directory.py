"""A folder on a disk that this machine can read, holding the files by their own names."""

from __future__ import annotations

from studiolo.bundle.catalogue import DirectorySource
from studiolo.bundle.landing import Landing
from studiolo.bundle.sources.file import copy
from studiolo.errors import SourceError


def fetch(source: DirectorySource, landing: Landing) -> None:
    """Copy every missing file of the folder."""
    if not source.path.is_dir():
        raise SourceError(f"{source.path} is not a folder that can be read")
    for wanted in landing.missing():
        copy(source.path / wanted.name, wanted, landing)
