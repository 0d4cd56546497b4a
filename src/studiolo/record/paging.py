"""Whose rows somebody may see, and which page of them.

Nobody sees the rows of another key, whatever id is asked for; an administrator sees everybody's.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    or_,
    select,
    true,
)


def visible(table: Table, key: str | None, admin: bool) -> ColumnElement[bool]:
    """The rows that ``key`` may see: its own; an administrator sees everybody's."""
    if admin:
        return true()
    return table.c.key.is_(None) if key is None else table.c.key == key


def page(
    connection: Connection,
    query: Select[Any],
    order: Column[float],
    after: str | None,
    limit: int,
) -> tuple[Row[Any], ...]:
    """``limit`` rows of ``query``, newest first by ``order``, that come after the id ``after``.

    ``query`` is of one table, whose primary key is the id. After an unknown id there is nothing.
    """
    (id,) = order.table.primary_key
    if after is not None:
        then = select(order).where(id == after).scalar_subquery()
        query = query.where(or_(order < then, and_(order == then, id < after)))
    query = query.order_by(order.desc(), id.desc()).limit(limit)
    return tuple(connection.execute(query))
