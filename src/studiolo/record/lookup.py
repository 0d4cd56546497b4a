"""Entries of the log that tell of an output, found by its fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from studiolo.errors import MalformedFileError, RecordsError
from studiolo.record.chain import ENTRIES
from studiolo.record.entry import MAX_LINE, Entry
from studiolo.record.signing import PublicKey


def entries_with(directory: Path, fingerprint: str, key: PublicKey) -> Iterator[Entry]:
    """The genuine entries of the log in ``directory`` that name ``fingerprint``, in their order.

    Lines that are not signed with ``key`` are passed over: whether the log is whole,
    :mod:`.verification` says. Raises :class:`RecordsError` for a log that cannot be read.
    """
    path, sought = directory / ENTRIES, fingerprint.encode("ascii")
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE):
                if sought not in line:
                    continue
                try:
                    entry = Entry.parse(line.removesuffix(b"\n"), "a line")
                except MalformedFileError:
                    continue
                if fingerprint in entry.outputs and entry.head.signed_by(key):
                    yield entry
    except FileNotFoundError:
        return
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
