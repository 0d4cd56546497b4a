"""Where models come from: one file a kind, and every kind fetches alike.

``fetch(source, landing)`` brings every file that the landing still misses, or raises
:class:`~studiolo.errors.SourceError` (it could not be had) or
:class:`~studiolo.errors.ChecksumError` (it was had, and is not what was pinned). What
arrived before stays in the landing, for another try or the next source.
"""

from __future__ import annotations

from studiolo.bundle.catalogue import (
    DirectorySource,
    FileSource,
    HubSource,
    IndexSource,
    Source,
    UrlSource,
)
from studiolo.bundle.landing import Landing
from studiolo.bundle.sources import directory, file, hub, index, url


def fetch(source: Source, landing: Landing) -> None:
    """Bring what ``landing`` misses from ``source``, whatever its kind."""
    match source:
        case HubSource():
            hub.fetch(source, landing)
        case IndexSource():
            index.fetch(source, landing)
        case UrlSource():
            url.fetch(source, landing)
        case FileSource():
            file.fetch(source, landing)
        case DirectorySource():
            directory.fetch(source, landing)
