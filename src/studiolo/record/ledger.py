"""The ledger: one row for each request that came in, whatever became of it. No contents.

:meth:`Ledger.note` hands the row to a :class:`Writer` and returns; one thread writes what has
gathered, in one commit. A row is written once: its id is the request's, and a group whose commit
was not answered is written again without harm.

What can be lost. A process that is killed loses what was noted in its last moments and not yet
written, about 50 ms of rows when the database is well. While the database is away rows are kept,
and :attr:`Ledger.lag` says for how long by now; those for which there is no room any more go to
the log instead, as JSON, and so does a row that no database accepts.

Reads see what is written, so they lag a little too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import case, func, select

from studiolo.errors import InvalidRequestError, RecordsError
from studiolo.record.database import Database
from studiolo.record.paging import page, visible
from studiolo.record.tables import printable, requests
from studiolo.record.writer import ROOM, Writer

DAY = 86_400

By = Literal["key", "user", "model", "day", "dialect", "endpoint", "status"]
BYS: tuple[By, ...] = get_args(By)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One request. ``id``: the request's; ``key``: the id of the key; ``user``: as the client says.

    ``weights``: the digest of the model's; ``started``: Unix seconds; ``seconds_to_first``: until
    the first token; ``status``: HTTP's; ``error``: a code; ``cached_tokens`` are some of
    ``prompt_tokens``.
    """

    id: str
    started: float
    seconds: float
    dialect: str
    endpoint: str
    status: int
    key: str | None = None
    user: str | None = None
    model: str | None = None
    weights: str | None = None
    seconds_to_first: float | None = None
    error: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    joules: float = 0.0


@dataclass(frozen=True)
class Usage:
    """Sums over the requests of one group; of ``by``, what was not asked for is None.

    ``day``: ``2026-11-22``, in UTC; ``errors``: with a status of 400 or more.
    """

    requests: int
    errors: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost: float
    joules: float
    seconds: float
    key: str | None = None
    user: str | None = None
    model: str | None = None
    day: str | None = None
    dialect: str | None = None
    endpoint: str | None = None
    status: int | None = None


class Ledger:
    """The ledger in ``database``; close it. ``room``: rows that may wait to be written."""

    def __init__(self, database: Database, *, room: int = ROOM) -> None:
        self._database = database
        self._writer: Writer[Entry] = Writer(self._write, _lose, room=room)

    @property
    def lag(self) -> float:
        """Seconds for which the oldest row that is not written has been waiting."""
        return self._writer.lag

    def note(self, entry: Entry) -> None:
        """Have ``entry`` written soon. Returns at once but when the queue is full, see above."""
        self._writer.put(entry)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was noted so far is safe; False if it is not after ``timeout``."""
        return self._writer.flush(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Write what is left; what is not written after ``timeout`` seconds goes to the log."""
        self._writer.close(timeout)

    def usage(
        self,
        *,
        by: Sequence[By] = (),
        key: str | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> tuple[Usage, ...]:
        """Sums over the requests that started in ``[since, until)``, one for each group.

        ``by``: what a group has in common, and the order of the result; without, one group of
        all, or none where there are no requests. ``key``: only of this one.
        Raises :class:`InvalidRequestError` for a group that is none.
        """
        for name in by:
            if name not in BYS:
                known = ", ".join(BYS)
                raise InvalidRequestError("by", f"{name!r:.40} is none; there are {known}")
        groups = [requests.c[name] for name in dict.fromkeys(by)]
        sums = [func.sum(requests.c[name]).label(name) for name in _SUMMED]
        errors = func.sum(case((requests.c.status >= 400, 1), else_=0)).label("errors")
        query = select(*groups, func.count().label("requests"), errors, *sums)
        if key is not None:
            query = query.where(requests.c.key == key)
        if since is not None:
            query = query.where(requests.c.started >= since)
        if until is not None:
            query = query.where(requests.c.started < until)
        with self._database.read() as connection:
            rows = connection.execute(query.group_by(*groups).order_by(*groups)).all()
        return tuple(_usage(row._asdict()) for row in rows if row.requests)

    def spent(self, key: str, since: float) -> float:
        """What the requests of ``key`` that started at ``since`` or later have cost.

        Reads as many entries of an index as there were requests: a caller that asks before each
        request keeps count itself in between.
        """
        mine = requests.c.key == key, requests.c.started >= since
        with self._database.read() as connection:
            return float(connection.scalar(select(func.sum(requests.c.cost)).where(*mine)) or 0.0)

    def requests(
        self, key: str | None, *, limit: int = 100, before: str | None = None, admin: bool = False
    ) -> tuple[Entry, ...]:
        """The requests of ``key``, or everybody's for ``admin``, the newest first.

        ``before``: the id of a request, for those that are older: the next page.
        """
        query = select(*_COLUMNS).where(visible(requests, key, admin))
        with self._database.read() as connection:
            rows = page(connection, query, requests.c.started, before, limit)
        return tuple(Entry(**row._asdict()) for row in rows)

    def _write(self, group: Sequence[Entry]) -> None:
        """Write all of them, or, where some are refused for themselves, all others."""
        if self._accepts(group):
            return
        for entry in group:
            if not self._accepts([entry]):
                _lose(entry)

    def _accepts(self, group: Sequence[Entry]) -> bool:
        try:
            with self._database.begin() as connection:
                connection.execute(
                    self._database.upsert(requests, keep=True), [_row(entry) for entry in group]
                )
        except RecordsError as error:
            if not error.refused:
                raise
            return False
        except (ValueError, OverflowError):  # a driver that cannot even spell a number
            return False
        return True


_SUMMED = (
    *("prompt_tokens", "cached_tokens", "completion_tokens"),
    *("cost", "joules", "seconds"),
)
_COLUMNS = tuple(requests.c[field.name] for field in fields(Entry))


def _row(entry: Entry) -> dict[str, Any]:
    values = {
        name: printable(value) if isinstance(value, str) else value
        for name, value in vars(entry).items()
    }
    return {**values, "day": int(entry.started // DAY)}


def _usage(sums: dict[str, Any]) -> Usage:
    for name in (*_SUMMED[:3], "errors"):
        sums[name] = int(sums[name])
    if "day" in sums:
        sums["day"] = (date(1970, 1, 1) + timedelta(days=sums["day"])).isoformat()
    return Usage(**sums)


def _lose(entry: Entry) -> None:
    _log.error("a row of the ledger is not recorded: %s", json.dumps(vars(entry)))
