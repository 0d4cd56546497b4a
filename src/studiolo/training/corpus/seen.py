"""What was there before: digests and signatures in a table on disk, so that memory does not grow.

One SQLite file that belongs to one build and is thrown away with it; nothing in it needs to
survive a crash. Deliberately unknown here: what the digests and signatures are of.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

MOST_MEETING = 64
"""Documents looked at for each band: in one where thousands meet, the first stand for all."""
CACHE_KIB = 16_384


class Seen:
    """Use it in a ``with``; ``path`` must not be there yet."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        run = self._database.execute
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            run(f"PRAGMA {pragma}")
        run("CREATE TABLE texts (digest BLOB PRIMARY KEY, name TEXT) WITHOUT ROWID")
        run("CREATE TABLE signatures (id INTEGER PRIMARY KEY, name TEXT, signature BLOB)")
        run("CREATE TABLE bands (key INTEGER, id INTEGER, PRIMARY KEY (key, id)) WITHOUT ROWID")
        run("BEGIN")

    def text(self, digest: bytes, name: str) -> str | None:
        """The name under which ``digest`` is known; if it is not, None, and from now on it is."""
        found = self._database.execute(
            "SELECT name FROM texts WHERE digest = ?", (digest,)
        ).fetchone()
        if found is not None:
            return str(found[0])
        self._database.execute("INSERT INTO texts VALUES (?, ?)", (digest, name))
        return None

    def meeting(self, keys: Sequence[int]) -> Iterator[tuple[str, bytes]]:
        """Name and signature of every document known by one of ``keys``, in order of arrival."""
        ids: set[int] = set()
        for key in keys:
            ids.update(
                row[0]
                for row in self._database.execute(
                    "SELECT id FROM bands WHERE key = ? ORDER BY id LIMIT ?", (key, MOST_MEETING)
                )
            )
        for each in sorted(ids):
            yield self._database.execute(
                "SELECT name, signature FROM signatures WHERE id = ?", (each,)
            ).fetchone()

    def met(self, keys: Sequence[int], name: str, signature: bytes) -> None:
        """Know a document by ``keys`` from now on."""
        added = self._database.execute(
            "INSERT INTO signatures (name, signature) VALUES (?, ?)", (name, signature)
        )
        self._database.executemany(
            "INSERT OR IGNORE INTO bands VALUES (?, ?)", [(key, added.lastrowid) for key in keys]
        )

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
