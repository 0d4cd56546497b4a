"""The one database behind all records: opened, brought up to date, used in transactions.

Notable choices. *SQLite in WAL mode with synchronous=FULL*: readers do not wait for the writer,
and what was committed survives a power cut. A revoked key that comes back to life or a finished
batch that runs again would be worse than the one fsync a commit costs, and the ledger commits in
groups. *A transaction that will write says so at its beginning* (``BEGIN IMMEDIATE``): SQLite can
then let it wait for another, where one that begins to write later would fail. *What is deleted is
overwritten* (``secure_delete``). *Tables are migrated in one transaction*, which is also the lock.

Does not know what the tables say.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from studiolo.errors import BusyError, InvalidRequestError, MissingExtraError, RecordsError
from studiolo.record import migrations
from studiolo.record.fault import told
from studiolo.record.location import Location

PATIENCE = 10
"""Seconds to wait for another's lock, for a server to answer, or for a free connection."""
_SQLITE = ("foreign_keys = ON", "synchronous = FULL", "secure_delete = ON")


class Database:
    """An open database, to be used from any thread; close it. ``where``: which it is."""

    def __init__(self, engine: Engine, where: Location) -> None:
        self.where = where
        self._engine = engine
        self._reading = engine.execution_options(begin="BEGIN")
        self._outside = engine.execution_options(begin="")

    @classmethod
    def open(cls, url: str | None = None) -> Self:
        """Open the database that ``url`` names (see :class:`Location`), made if it is not there.

        Raises :class:`InvalidRequestError` for a URL that names none, :class:`MissingExtraError`
        where the driver is not installed, and an error of :mod:`studiolo.record.fault` for a
        database that cannot be used, is somebody else's, or is of a later Studiolo.
        """
        where = Location.of(url)
        engine = _server(where) if where.path is None else _file(where.path, where)
        database = cls(engine, where)
        try:
            with database.read() as connection:
                now = migrations.version(connection, where.shown)
            if where.path is not None:
                database._write_ahead()
            if now != migrations.HEAD:
                with database.begin() as connection:
                    migrations.upgrade(connection, where.shown)
        except BaseException:
            engine.dispose()
            raise
        return database

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that may write; committed at the end, rolled back on any error.

        Raises an error of :mod:`studiolo.record.fault`.
        """
        with self._transaction(self._engine) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, and waits for no writer. Raises as :meth:`begin`."""
        with self._transaction(self._reading) as connection:
            yield connection

    def upsert(self, table: Table, *, keep: bool = False) -> Insert:
        """Insert whole rows; one of that primary key is replaced, or with ``keep`` left alone."""
        insert = sqlite.insert(table) if self.where.path else postgresql.insert(table)
        names = [column.name for column in table.primary_key]
        if keep:
            return insert.on_conflict_do_nothing(index_elements=names)
        others = {c.name: insert.excluded[c.name] for c in table.c if c.name not in names}
        return insert.on_conflict_do_update(index_elements=names, set_=others)

    def forget(self) -> None:
        """After deleting: empty SQLite's log too, which may still hold it, if no reader is in it.

        PostgreSQL's rows go with its next vacuum.
        """
        if self.where.path is not None:
            with self._transaction(self._outside) as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except (DBAPIError, PoolTimeout) as error:
            raise told(error, self.where) from None

    def _write_ahead(self) -> None:
        """Have SQLite keep its log beside the file; it does not wait for others by itself here."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self._transaction(self._outside) as connection:
                    mode = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar()
                break
            except BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        if mode != "wal":
            raise RecordsError(
                f"{self.where.shown} lies where SQLite cannot write ahead (it is in mode {mode!r})",
                remedy="Put it on a disk of this machine, or use PostgreSQL.",
            )


def _file(path: Path, where: Location) -> Engine:
    """SQLite's. The file is its owner's alone, and so are those that SQLite puts beside it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        why = f"{str(path)!r} cannot be written: {error.strerror}"
        raise InvalidRequestError("records", why) from None
    engine = create_engine(
        where.url,
        hide_parameters=True,
        pool_timeout=PATIENCE,
        connect_args={"timeout": PATIENCE, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:
        for pragma in _SQLITE:
            connection.execute(f"PRAGMA {pragma}")

    # Python's driver begins no transaction before a CREATE TABLE; so it begins none at all.
    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        if statement := connection.get_execution_options().get("begin", "BEGIN IMMEDIATE"):
            connection.exec_driver_sql(statement)

    return engine


def _server(where: Location) -> Engine:
    """PostgreSQL's. Text is UTF-8 whatever the server thinks; a server that is gone is noticed."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise MissingExtraError("PostgreSQL", "postgresql") from None
    asked = {"connect_timeout": PATIENCE, "tcp_user_timeout": 1000 * PATIENCE}
    engine = create_engine(
        where.url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_timeout=PATIENCE,
        connect_args={"client_encoding": "utf8", "application_name": "studiolo", **asked},
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:
        connection.autocommit = True
        connection.execute(f"SET lock_timeout = '{PATIENCE}s'")
        connection.autocommit = False

    return engine
