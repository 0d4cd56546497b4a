from __future__ import annotations

import random
from typing import Any

from sqlalchemy import select

from studiolo.record.database import Database
from studiolo.record.paging import page, visible
from studiolo.record.tables import files, keys

KEY = {"digest": b"", "name": "", "owner": "", "scopes": [], "models": [], "created": 0.0}


def fill(database: Database) -> list[tuple[float, str]]:
    """Files of two keys and of nobody, many of one moment; newest first, as (created, id)."""
    draw = random.Random(3)
    rows: list[dict[str, Any]] = [
        {
            "id": f"file-{draw.randrange(10**9)}",
            "key": ("a", "b", None)[i % 3],
            "filename": "",
            "purpose": "",
            "bytes": i,
            "created": float(draw.randrange(4)),
        }
        for i in range(60)
    ]
    with database.begin() as connection:
        connection.execute(keys.insert(), [{"id": id, **KEY} for id in ("a", "b")])
        connection.execute(files.insert(), rows)
    return sorted(((row["created"], row["id"]) for row in rows), reverse=True)


def test_pages_hold_every_row_once_newest_first(database: Database) -> None:
    expected = [id for _, id in fill(database)]
    for size in (1, 7, 60, 100):
        found: list[str] = []
        while True:
            after = found[-1] if found else None
            with database.read() as connection:
                rows = page(connection, select(files), files.c.created, after, size)
            if not rows:
                break
            assert len(rows) <= size
            found += [row.id for row in rows]
        assert found == expected


def test_after_an_unknown_id_there_is_nothing(database: Database) -> None:
    fill(database)
    with database.read() as connection:
        assert page(connection, select(files), files.c.created, "file-x", 10) == ()


def test_everybody_sees_what_is_theirs_and_an_administrator_sees_all(database: Database) -> None:
    fill(database)

    def seen(key: str | None, admin: bool) -> set[str | None]:
        with database.read() as connection:
            query = select(files.c.key).where(visible(files, key, admin))
            return set(connection.scalars(query))

    assert seen("a", False) == {"a"}
    assert seen("b", False) == {"b"}
    assert seen(None, False) == {None}
    assert seen("no such key", False) == set()
    for key in ("a", None):
        assert seen(key, True) == {"a", "b", None}
