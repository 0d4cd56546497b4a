"""The history of the tables, and how a database is brought to its newest state.

Alembic runs the files in ``versions/``, oldest first, all within the transaction of the
connection that is handed in: whoever is killed in the middle has changed nothing. That
transaction also keeps two from doing it at once. A published file is never changed; what comes
later is a new file, and :data:`HEAD` names the newest.
"""

from __future__ import annotations

import threading

from sqlalchemy import Connection, Text, column, inspect, select, table, text

from studiolo.errors import RecordsError

HEAD = "0002"
VERSION_TABLE = "studiolo_version"
_version = table(VERSION_TABLE, column("version_num", Text))
_LOCK = int.from_bytes(b"STUDIOLO")
_ONE_AT_A_TIME = threading.Lock()  # alembic's context is the whole process's


def version(connection: Connection, shown: str) -> str | None:
    """The version of the database, or None if it is empty. ``shown`` names it in errors.

    Raises :class:`RecordsError` for a database that is somebody else's.
    """
    names = inspect(connection).get_table_names()
    if VERSION_TABLE in names:
        return connection.execute(select(_version.c.version_num)).scalar()
    if names:
        raise RecordsError(
            f"{shown} holds tables that are not Studiolo's: {', '.join(sorted(names)):.100}",
            remedy="Name a database of its own, which may be empty or not there yet.",
        )
    return None


def upgrade(connection: Connection, shown: str) -> None:
    """Bring the database to :data:`HEAD`; ``connection`` is in a transaction that may write.

    Raises :class:`RecordsError` for a database of a later Studiolo, and as :func:`version`.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    now = version(connection, shown)
    if now == HEAD:
        return
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "studiolo.record:migrations")
    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    if now is not None and now not in known:
        raise RecordsError(
            f"{shown} is of a later Studiolo: its tables are of version {now:.20}, "
            f"and this one knows them up to {HEAD}",
            remedy="Update Studiolo, or name another database with --records.",
        )
    with _ONE_AT_A_TIME:
        command.upgrade(config, HEAD)
