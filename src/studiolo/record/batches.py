"""Jobs of OpenAI's Batch API: what was asked, how far it is, and who is at it.

Notable choices. *A worker holds a lease* that it renews; a job whose worker was killed is claimed
by the next when the lease has run out. *Every change says what it expects*: it is one UPDATE with
the statuses it may start from, and the worker that must hold the job, in its WHERE; so of two that
try, one succeeds and the other is told, on either database. A worker that was so slow that
another took over can change nothing any more.

Times are those of the callers' clocks, which must agree to within a few seconds of a lease.
Does not know what a job's lines say, nor how they are answered.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from studiolo.record.database import Database
from studiolo.record.paging import page, visible
from studiolo.record.tables import batches, printable

Status = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
FROM: Mapping[Status, tuple[Status, ...]] = {
    "in_progress": ("validating",),
    "finalizing": ("in_progress",),
    "completed": ("finalizing",),
    "failed": ("validating", "in_progress", "finalizing"),
    "expired": ("validating", "in_progress", "finalizing"),
    "cancelling": ("validating", "in_progress"),
    "cancelled": ("cancelling",),
}
"""Which statuses each may follow."""
OPEN: tuple[Status, ...] = ("validating", "in_progress", "finalizing", "cancelling")
"""Those in which there is something left to do."""
_TIMES = {"in_progress": "started", "finalizing": "finalizing", "cancelling": "cancelling"}
LEASE = 30.0
"""Seconds for which a job is a worker's alone, from when it was claimed or renewed."""


@dataclass(frozen=True)
class Batch:
    """One job. Files by id; times in Unix seconds; ``total``, ``completed``, ``failed``: lines.

    ``started``, ``finalizing``, ``cancelling``: when it came into that status; ``finished``: when
    it was completed, failed, expired or cancelled, as ``status`` says. ``error``: why it failed.
    """

    id: str
    key: str | None
    endpoint: str
    input_file: str
    status: Status
    created: float
    expires: float
    metadata: Mapping[str, str]
    output_file: str | None = None
    error_file: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    error: str | None = None
    started: float | None = None
    finalizing: float | None = None
    cancelling: float | None = None
    finished: float | None = None


class Batches:
    """The jobs in ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        *,
        key: str | None,
        endpoint: str,
        input_file: str,
        metadata: Mapping[str, str] | None = None,
        hours: float = 24,
    ) -> Batch:
        """A new job, ``validating``, which expires after ``hours``; safe when this returns."""
        now = time.time()
        made = Batch(
            id=f"batch_{secrets.token_hex(12)}",
            key=key,
            endpoint=endpoint,
            input_file=input_file,
            status="validating",
            created=now,
            expires=now + 3600 * hours,
            metadata=dict(metadata or {}),
        )
        with self._database.begin() as connection:
            connection.execute(batches.insert().values(vars(made)))
        return made

    def find(self, id: str, key: str | None, *, admin: bool = False) -> Batch | None:
        """The job, if it is there and is of ``key`` or for ``admin``."""
        with self._database.read() as connection:
            return _one(connection, and_(batches.c.id == id, visible(batches, key, admin)))

    def list(
        self, key: str | None, *, after: str | None = None, limit: int = 20, admin: bool = False
    ) -> tuple[Batch, ...]:
        """The jobs of ``key``, or everybody's for ``admin``, the newest first.

        ``after``: the id of a job, for those that come after it: the next page.
        """
        query = select(*_COLUMNS).where(visible(batches, key, admin))
        with self._database.read() as connection:
            rows = page(connection, query, batches.c.created, after, limit)
        return tuple(Batch(**row._asdict()) for row in rows)

    def cancel(self, id: str, key: str | None, *, admin: bool = False) -> Batch | None:
        """Ask for the end of a job; its worker ends it. None where :meth:`find` finds none.

        A job that is past cancelling stays as it is, and is given so.
        """
        mine = and_(batches.c.id == id, visible(batches, key, admin))
        with self._database.begin() as connection:
            _move(connection, mine, "cancelling", {})
            return _one(connection, mine)

    def claim(self, worker: str, now: float | None = None) -> Batch | None:
        """The oldest job that has something left to do and no worker; from now on ``worker``'s.

        ``worker``: a name that no other worker has. The job may be in any status of :data:`OPEN`:
        what another has begun goes on. None if there is no such job.
        """
        now = time.time() if now is None else now
        free = or_(batches.c.lease.is_(None), batches.c.lease < now)
        waiting = select(batches.c.id).where(batches.c.status.in_(OPEN), free)
        with self._database.begin() as connection:
            while True:
                id = connection.scalar(waiting.order_by(batches.c.created, batches.c.id).limit(1))
                if id is None:
                    return None
                this = and_(batches.c.id == id, batches.c.status.in_(OPEN), free)
                taken = update(batches).where(this).values(worker=worker, lease=now + LEASE)
                if connection.execute(taken).rowcount:
                    return _one(connection, batches.c.id == id)

    def renew(
        self,
        id: str,
        worker: str,
        *,
        total: int | None = None,
        completed: int | None = None,
        failed: int | None = None,
        now: float | None = None,
    ) -> Batch | None:
        """Hold a claimed job for longer and tell its counts; None if it is ``worker``'s no more.

        Then the worker must leave it. If the status is ``cancelling`` it should end it.
        """
        now = time.time() if now is None else now
        counts = {"total": total, "completed": completed, "failed": failed}
        told = {name: value for name, value in counts.items() if value is not None}
        mine = and_(batches.c.id == id, batches.c.worker == worker, batches.c.status.in_(OPEN))
        with self._database.begin() as connection:
            values = {"lease": now + LEASE, **told}
            if not connection.execute(update(batches).where(mine).values(values)).rowcount:
                return None
            return _one(connection, batches.c.id == id)

    def move(
        self,
        id: str,
        worker: str,
        to: Status,
        *,
        output_file: str | None = None,
        error_file: str | None = None,
        error: str | None = None,
    ) -> Batch | None:
        """Bring a claimed job into the status ``to``, if that may follow the one it has.

        None if it may not, or the job is ``worker``'s no more: nothing has changed then.
        """
        given = {
            "output_file": output_file,
            "error_file": error_file,
            "error": None if error is None else printable(error, 2000),
        }
        values = {name: value for name, value in given.items() if value is not None}
        mine = and_(batches.c.id == id, batches.c.worker == worker)
        with self._database.begin() as connection:
            moved = _move(connection, mine, to, values)
            return _one(connection, batches.c.id == id) if moved else None

    def leave(self, id: str, worker: str) -> None:
        """Give a claimed job back before its lease runs out, for another to go on."""
        mine = and_(batches.c.id == id, batches.c.worker == worker)
        with self._database.begin() as connection:
            connection.execute(update(batches).where(mine).values(worker=None, lease=None))


_COLUMNS = tuple(batches.c[field.name] for field in fields(Batch))


def _move(
    connection: Connection, which: ColumnElement[bool], to: Status, values: dict[str, Any]
) -> bool:
    stamped = {**values, "status": to, _TIMES.get(to, "finished"): time.time()}
    this = and_(which, batches.c.status.in_(FROM.get(to, ())))
    return connection.execute(update(batches).where(this).values(stamped)).rowcount == 1


def _one(connection: Connection, which: ColumnElement[bool]) -> Batch | None:
    row = connection.execute(select(*_COLUMNS).where(which)).one_or_none()
    return None if row is None else Batch(**row._asdict())
