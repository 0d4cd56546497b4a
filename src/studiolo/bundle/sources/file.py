"""A file on a disk that this machine can read: copied, so that it may go away later.

Nothing is resumed: copying again is quicker than proving that both halves belong together.
"""

from __future__ import annotations

from pathlib import Path

from studiolo.bundle.catalogue import FileSource, Wanted
from studiolo.bundle.landing import Landing, copy_into
from studiolo.errors import SourceError


def fetch(source: FileSource, landing: Landing) -> None:
    """Copy the one file of ``source``."""
    for wanted in landing.missing():
        copy(source.path, wanted, landing)


def copy(path: Path, wanted: Wanted, landing: Landing) -> None:
    """Copy ``path`` into the landing as ``wanted``; raises :class:`SourceError`."""
    try:
        with path.open("rb") as file, landing.partial(wanted) as partial:
            partial.discard()
            copy_into(partial, file.read)
            partial.finish()
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise SourceError(f"{path}: {error.strerror}") from None
