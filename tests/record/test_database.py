"""Opened by one or by many, killed while its tables are made, refused where it is none of ours."""

from __future__ import annotations

import os
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    MalformedFileError,
    MissingExtraError,
    NoSpaceError,
    RecordsError,
    StudioloError,
)
from studiolo.record import migrations
from studiolo.record.database import Database
from studiolo.record.tables import files, keys, metadata
from tests.databases import ENCODED, PASSWORD, Fresh, Postgres

KEY = {
    "digest": b"d",
    "name": "n",
    "owner": "",
    "scopes": [],
    "models": [],
    "created": 0.0,
}


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sa.inspect(connection).get_table_names())


def version(database: Database) -> object:
    with database.read() as connection:
        return migrations.version(connection, "")


EVERY = {*metadata.tables, migrations.VERSION_TABLE}


def test_it_is_made_and_then_found(url: str) -> None:
    for _ in range(2):
        database = Database.open(url)
        assert tables(database) == EVERY
        assert version(database) == migrations.HEAD
        database.close()


def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(keys.insert().values(id="a", **KEY))

    def fails() -> None:
        with database.begin() as connection:
            connection.execute(keys.insert().values(id="b", **KEY))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    twice = keys.insert().values([{"id": id, **KEY} for id in ("c", "a")])
    with pytest.raises(RecordsError) as caught, database.begin() as connection:
        connection.execute(twice)
    assert caught.value.refused
    with database.read() as connection:
        assert connection.scalars(sa.select(keys.c.id)).all() == ["a"]


def test_a_reader_sees_one_state_and_does_not_wait_for_the_writer(database: Database) -> None:
    count = sa.select(sa.func.count()).select_from(keys)
    with database.read() as reading, database.begin() as writing:
        before = reading.scalar(count)
        writing.execute(keys.insert().values(id="a", **KEY))
        assert (before, reading.scalar(count), writing.scalar(count)) == (0, 0, 1)


def test_a_reference_to_nothing_is_refused_and_its_values_are_not_repeated(
    database: Database,
) -> None:
    row = {"id": "f", "key": "no such", "filename": "private", "purpose": "p", "bytes": 1}
    with pytest.raises(RecordsError) as caught, database.begin() as connection:
        connection.execute(files.insert().values(created=0.0, **row))
    assert caught.value.refused
    assert "private" not in str(caught.value)
    assert "no such" not in str(caught.value)


def test_a_row_is_replaced_or_left(database: Database) -> None:
    def name() -> str | None:
        with database.read() as connection:
            return connection.scalar(sa.select(keys.c.name))

    for changed, keep, expected in (("x", True, "x"), ("y", True, "x"), ("z", False, "z")):
        with database.begin() as connection:
            values = {**KEY, "id": "a", "name": changed}
            connection.execute(database.upsert(keys, keep=keep), values)
        assert name() == expected


def test_writers_wait_for_one_another(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(keys.insert().values(id="a", **{**KEY, "budget": 0.0}))
    faults: list[BaseException] = []

    def add() -> None:
        try:
            for _ in range(25):
                with database.begin() as connection:
                    query = sa.select(keys.c.budget).with_for_update()
                    now = connection.scalar(query) or 0.0
                    connection.execute(keys.update().values(budget=now + 1))
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with database.read() as connection:
        assert connection.scalar(sa.select(keys.c.budget)) == 150


def test_many_open_it_at_once(fresh: Fresh) -> None:
    """In threads, as one process may, and in processes; each finds it whole."""
    url = fresh()
    found: list[object] = []

    def opened() -> None:
        try:
            database = Database.open(url)
            found.append(tables(database) == EVERY)
            database.close()
        except BaseException as fault:
            found.append(fault)

    threads = [threading.Thread(target=opened) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6

    code = "import sys; from studiolo.record.database import Database; Database.open(sys.argv[1])"
    command = [sys.executable, "-c", code, fresh()]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert ended == [(b"", 0)] * 4


KILLED = """
import os, signal, sys, threading, time
from sqlalchemy import Engine, event
from studiolo.record.database import Database

def die():
    os.kill(os.getpid(), signal.SIGKILL)

left, seconds = int(sys.argv[2]), float(sys.argv[3])

@event.listens_for(Engine, "before_cursor_execute")
def count(*args):
    global left
    if left == 0:
        die()
    left -= 1

if seconds:
    threading.Timer(seconds, die).start()
Database.open(sys.argv[1])
print(-left)
"""


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_in_the_middle_of_a_migration_it_is_as_before(
    proof: Callable[..., int], fresh: Fresh
) -> None:
    """SIGKILL at a statement or a moment of a migration: the next to open it finds or makes all."""
    kills = proof("migration-kills", short=4, full=100)
    draw = random.Random(2)

    def opened(url: str, statement: int, seconds: float) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, url, str(statement), str(seconds)]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    statements = int(opened(fresh(), -1, 0).stdout)
    for i in range(kills):
        url = fresh()
        timed = draw.uniform(0.0001, 0.2) if i % 4 == 3 else 0
        ended = opened(url, -1 if timed else draw.randrange(statements - 1), timed)
        assert ended.returncode == -signal.SIGKILL or (timed and ended.returncode == 0), ended
        database = Database.open(url)
        assert tables(database) == EVERY
        assert version(database) == migrations.HEAD
        database.close()


def test_somebody_elses_is_left_alone(url: str) -> None:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE diary (day text)"))
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num text)"))
    with pytest.raises(RecordsError, match="not Studiolo's: alembic_version, diary") as caught:
        Database.open(url)
    assert caught.value.remedy is not None
    assert set(sa.inspect(engine).get_table_names()) == {"alembic_version", "diary"}
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "delete"
    engine.dispose()


def test_that_of_a_later_studiolo_is_refused(url: str) -> None:
    database = Database.open(url)
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE studiolo_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(RecordsError, match=r"later Studiolo: .* 9999, and .* up to 0002") as caught:
        Database.open(url)
    assert "Update Studiolo" in str(caught.value.remedy)


def test_a_file_is_its_owners_alone(tmp_path: Path, home: Path) -> None:
    database = Database.open()
    with database.begin() as connection:
        connection.execute(keys.insert().values(id="a", **KEY))
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    database.close()
    assert found == dict.fromkeys(("records.db", "records.db-wal", "records.db-shm"), 0o600)


def test_sqlite_is_set_up_as_promised(tmp_path: Path) -> None:
    database = Database.open(str(tmp_path / "deep" / "er.db"))
    promised = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    with database.read() as connection:
        for name, value in promised.items():
            assert connection.exec_driver_sql(f"PRAGMA {name}").scalar() == value
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000
    database.close()


def test_files_that_are_no_database_are_named(tmp_path: Path) -> None:
    path = tmp_path / "diary.txt"
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(MalformedFileError, match=r"diary.txt is damaged, or no database"):
        Database.open(str(path))
    assert path.read_bytes() == b"Dear diary, " * 1000
    for wrong in (tmp_path, path / "below"):
        with pytest.raises(InvalidRequestError, match=r"records: .* cannot be written"):
            Database.open(str(wrong))


@pytest.mark.parametrize("place", [100, 5000, 12_000])
def test_a_damaged_file_gives_named_errors(tmp_path: Path, place: int) -> None:
    path = tmp_path / "records.db"
    Database.open(str(path)).close()
    data = bytearray(path.read_bytes())
    data[place : place + 3000] = bytes(i % 251 for i in range(3000))
    path.write_bytes(data)
    try:
        database = Database.open(str(path))
        with database.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(sa.select(table)).all()
            connection.execute(keys.insert().values(id="a", **KEY))
        database.close()
    except StudioloError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_a_locked_file_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studiolo.record.database.PATIENCE", 0.1)
    path = tmp_path / "records.db"
    database = Database.open(str(path))
    with database.begin(), pytest.raises(BusyError, match="are busy"), database.begin() as other:
        other.exec_driver_sql("SELECT 1")
    database.close()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    database = Database.open(str(tmp_path / "records.db"))

    def fill() -> None:
        with database.begin() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            for i in range(1000):
                connection.execute(keys.insert().values(id=f"{i}", **{**KEY, "name": "n" * 1000}))

    with pytest.raises(NoSpaceError, match="no room for the records"):
        fill()
    database.close()


def test_nothing_of_what_was_deleted_is_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    database = Database.open(str(path))

    def left() -> bool:
        written = (each.read_bytes() for each in tmp_path.iterdir())
        return any(b"a secret word" in data for data in written)

    with database.begin() as connection:
        connection.execute(keys.insert().values(id="a", **{**KEY, "name": "a secret word" * 500}))
    assert left()
    with database.begin() as connection:
        connection.execute(keys.delete())
    database.forget()
    assert not left()
    database.close()


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://studiolo:{ENCODED}@127.0.0.1:{nobody.getsockname()[1]}/db"
        with pytest.raises(RecordsError, match=r"cannot be used: .*refused") as caught:
            Database.open(url)
    assert PASSWORD not in str(caught.value)
    assert ENCODED not in str(caught.value)


def test_without_the_driver_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"PostgreSQL needs the extra 'postgresql'"):
        Database.open("postgresql://u@host/db")


def test_what_a_server_refuses_is_named_without_the_password(postgres: Postgres) -> None:
    good = postgres.url("postgres")
    for url, why in (
        (good.replace(ENCODED, "wrong-word"), "password authentication failed"),
        (postgres.url("nowhere"), '"nowhere" does not exist'),
        (f"{good}?sslmode=sometimes", "sslmode"),
        (f"{good}?colour=blue", "colour"),
    ):
        with pytest.raises(RecordsError, match=why) as caught:
            Database.open(url)
        assert PASSWORD not in str(caught.value)
        assert "wrong-word" not in str(caught.value)


def test_a_server_that_comes_back_is_used_again(postgres: Postgres) -> None:
    database = Database.open(postgres.fresh())
    try:
        postgres.stop()
        with pytest.raises(StudioloError):
            tables(database)
    finally:
        postgres.start()
    assert tables(database) == EVERY
    database.close()


def test_a_role_that_may_make_no_tables_is_told_so(postgres: Postgres) -> None:
    url = postgres.fresh()
    name = url.rpartition("/")[2]
    postgres.execute(f"CREATE ROLE reader_{name} LOGIN PASSWORD 'word'", database=name)
    with pytest.raises(RecordsError, match="permission denied for schema public"):
        Database.open(url.replace(f"studiolo:{ENCODED}", f"reader_{name}:word"))
    assert os.environ.get("PGPASSWORD") is None
