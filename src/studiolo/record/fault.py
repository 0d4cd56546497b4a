"""What a database says when it fails, as an error for people.

A failure is one of four: the moment is wrong (:class:`BusyError`), there is no room
(:class:`NoSpaceError`), the file is damaged (:class:`MalformedFileError`), or else a
:class:`RecordsError`. What a driver says is passed on in one line, without passwords; values of
rows are kept out of it.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from studiolo.errors import (
    BusyError,
    MalformedFileError,
    NoSpaceError,
    RecordsError,
    StudioloError,
)
from studiolo.record.location import Location

BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "40001", "40P01", "55P03", "53300", "57P03")
FULL = ("SQLITE_FULL", "53100")
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "XX001", "XX002")
REFUSED = ("SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG", "22", "23")
"""The beginnings of SQLite's error names and PostgreSQL's SQLSTATEs; the last: of a bad row."""


def told(error: DBAPIError | PoolTimeout, where: Location) -> StudioloError:
    """The error of ours that says what ``error`` does."""
    original = error.orig if isinstance(error, DBAPIError) else None
    code = str(
        getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None) or ""
    )
    if isinstance(error, PoolTimeout) or code.startswith(BUSY):
        return BusyError(
            f"the records in {where.shown} are busy", remedy="Try again in a few seconds."
        )
    if code.startswith(REFUSED):
        # Their text holds the row's values, which may be anybody's words.
        return RecordsError(f"{where.shown} does not accept a row ({code})", refused=True)
    said = where.without_secrets(str(original or error))
    if code.startswith(FULL):
        return NoSpaceError(f"there is no room for the records in {where.shown}: {said}")
    if code.startswith(DAMAGED):
        return MalformedFileError(
            f"{where.shown} is damaged, or no database: {said}",
            remedy="Put a backup in its place, or name another with --records.",
        )
    return RecordsError(f"the records in {where.shown} cannot be used: {said}", remedy=_REMEDY)


_REMEDY = "See that it is there, that it may be written, and that name and password are right."
