from __future__ import annotations

import sqlite3

import pytest
from psycopg import errors as postgres
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from studiolo.errors import BusyError, MalformedFileError, NoSpaceError, RecordsError, StudioloError
from studiolo.record.fault import told
from studiolo.record.location import Location

SERVER = Location.of("postgresql://u:secret@host/db")


def lite(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("it says secret")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("original", "kind"),
    [
        (lite("SQLITE_BUSY"), BusyError),
        (lite("SQLITE_BUSY_SNAPSHOT"), BusyError),
        (lite("SQLITE_LOCKED"), BusyError),
        (postgres.DeadlockDetected(), BusyError),
        (postgres.LockNotAvailable(), BusyError),
        (postgres.TooManyConnections(), BusyError),
        (postgres.CannotConnectNow(), BusyError),
        (lite("SQLITE_FULL"), NoSpaceError),
        (postgres.DiskFull("secret"), NoSpaceError),
        (lite("SQLITE_CORRUPT_INDEX"), MalformedFileError),
        (lite("SQLITE_NOTADB"), MalformedFileError),
        (postgres.DataCorrupted("secret"), MalformedFileError),
        (lite("SQLITE_CANTOPEN"), RecordsError),
        (postgres.InsufficientPrivilege("secret"), RecordsError),
        (postgres.ConnectionFailure("secret"), RecordsError),
        (sqlite3.OperationalError("secret"), RecordsError),
    ],
)
def test_each_failure_has_its_kind_and_no_password(
    original: Exception, kind: type[StudioloError]
) -> None:
    error = told(OperationalError("SELECT 1", {}, original), SERVER)
    assert type(error) is kind
    assert "secret" not in str(error)
    assert SERVER.shown in str(error)
    assert not getattr(error, "refused", False)


@pytest.mark.parametrize(
    "original",
    [
        lite("SQLITE_CONSTRAINT_NOTNULL"),
        lite("SQLITE_TOOBIG"),
        postgres.UniqueViolation("Key (id)=(words) already exists"),
        postgres.NumericValueOutOfRange("words"),
    ],
)
def test_a_row_that_is_refused_is_not_repeated(original: Exception) -> None:
    error = told(DBAPIError("INSERT", {}, original), SERVER)
    assert isinstance(error, RecordsError)
    assert error.refused
    assert "words" not in str(error)


def test_no_free_connection_is_a_bad_moment() -> None:
    assert isinstance(told(PoolTimeout("QueuePool limit"), SERVER), BusyError)
