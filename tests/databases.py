"""Both kinds of database for tests: a file, and a PostgreSQL server of the test run's own.

The server is started from the installed binaries (``PG_BIN``, Debian's folders, ``PATH``) on a
free port of the loopback address, with a password. PostgreSQL refuses to run as root, so root
runs it as the user ``postgres``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

PASSWORD = "pass:w/ord@é"
ENCODED = "pass%3Aw%2Ford%40%C3%A9"
Fresh = Callable[[], str]


def binaries() -> Path | None:
    """The folder with ``initdb`` and ``pg_ctl``, the newest there is."""
    if named := os.environ.get("PG_BIN"):
        return Path(named)
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda p: float(p.parts[-3])
    )
    found = str(debian[-1]) if debian else shutil.which("pg_ctl")
    return None if found is None else Path(found).parent


class Postgres:
    """A server; ``stop`` and ``start`` as often as wanted, ``close`` in the end."""

    def __init__(self, bin: Path) -> None:
        self._bin = bin
        self._made = 0
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        if os.getuid() != 0:
            self._as = []
        self.folder = Path(tempfile.mkdtemp(prefix="studiolo-postgres-"))
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if self._as:
            for path in (self.folder, password):
                shutil.chown(path, "postgres", "postgres")
        self._run(
            *("initdb", "--pgdata", str(self.folder / "data"), "--username", "studiolo"),
            *("--pwfile", str(password), "--auth", "scram-sha-256", "--encoding", "UTF8"),
            *("--no-locale", "--no-sync"),
        )
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.start()

    def _run(self, program: str, *args: str) -> None:
        command = [*self._as, str(self._bin / program), *args]
        log = self.folder / "log"
        with (self.folder.parent / f"{self.folder.name}.out").open("ab") as out:
            done = subprocess.run(command, stdout=out, stderr=out, check=False, cwd="/")
            said = Path(out.name).read_text(errors="replace")
        if done.returncode:
            raise RuntimeError(f"{program}: {said}{log.read_text() if log.exists() else ''}")

    def start(self) -> None:
        # A test kills clients and servers, never the machine, so nothing is forced to the disk.
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        self._control("start", "--log", str(self.folder / "log"), "--options", options)

    def stop(self) -> None:
        """As if it had crashed."""
        self._control("stop", "--mode", "immediate")

    def _control(self, *args: str) -> None:
        self._run("pg_ctl", "--pgdata", str(self.folder / "data"), "--wait", *args)

    def url(self, database: str) -> str:
        return f"postgresql://studiolo:{ENCODED}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> Sequence[tuple[object, ...]]:
        """Outside any transaction; the rows of the last one."""
        import psycopg

        rows: Sequence[tuple[object, ...]] = ()
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else ()
        return rows

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        self._made += 1
        name = f"records_{self._made}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def close(self) -> None:
        self.stop()
        (self.folder.parent / f"{self.folder.name}.out").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server; skips where none is installed."""
    bin = binaries()
    if bin is None:
        pytest.skip("PostgreSQL is not installed: no pg_ctl in PG_BIN, /usr/lib/postgresql or PATH")
    server = Postgres(bin)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Fresh:
    """``fresh()``: the URL of a new, empty database; every test is run on both kinds."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        return server.fresh
    made = iter(range(1_000_000))
    return lambda: f"sqlite:///{tmp_path / f'records-{next(made)}.db'}"


@pytest.fixture
def url(fresh: Fresh) -> str:
    """The URL of one new, empty database, of both kinds."""
    return fresh()
