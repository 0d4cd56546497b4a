"""Prompts, outputs and receipts: kept only where a policy says so, and only for a while.

Notable choices. *The policy is asked here*, so that no caller can forget it: :meth:`Contents.put`
drops what is not to be kept. *A receipt is contents*: the prompt stands in it as token ids; so it
is not kept by default either, but has a switch of its own, for those who want to be able to prove
what was made and keep no conversations. *What is deleted is gone*: SQLite overwrites it, in its
log too; PostgreSQL's vacuum takes it away.

A reader sees the contents of its own key; what is another's is the same as what is not there.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select

from studiolo.errors import InvalidRequestError
from studiolo.record.chain import Log
from studiolo.record.database import Database
from studiolo.record.paging import visible
from studiolo.record.tables import contents, printable

DAY = 86_400


@dataclass(frozen=True)
class Policy:
    """What is kept, for how many days: ``contents`` (prompts and outputs), ``receipts``."""

    contents: bool = False
    receipts: bool = False
    keep_days: int = 30

    def __post_init__(self) -> None:
        if not 1 <= self.keep_days <= 36_500:
            raise InvalidRequestError("keep_days", f"must be 1 to 36,500, not {self.keep_days:,}")


@dataclass(frozen=True)
class Content:
    """What was kept of a request. ``prompt`` and ``output``: JSON values, or None."""

    request: str
    key: str | None
    user: str | None
    created: float
    expires: float
    prompt: Any
    output: Any


_FIELDS = tuple(field.name for field in fields(Content))


class Contents:
    """The contents in ``database``, under ``policy``. ``log``: of receipts, of this home."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self.policy, self.log = policy, Log()
        self._database = database

    def put(
        self,
        request: str,
        *,
        key: str | None,
        user: str | None,
        prompt: object = None,
        output: object = None,
        receipt: bytes | None = None,
    ) -> bool:
        """Keep what the policy wants of a request; False where that is nothing.

        ``prompt`` and ``output``: anything that JSON can hold. Put again, it is replaced.
        """
        policy, now = self.policy, time.time()
        values = {
            "prompt": _spelled(prompt) if policy.contents else None,
            "output": _spelled(output) if policy.contents else None,
            "receipt": receipt if policy.receipts else None,
        }
        if all(value is None for value in values.values()):
            return False
        row = {
            "request": request,
            "key": key,
            "user": None if user is None else printable(user),
            "created": now,
            "expires": now + policy.keep_days * DAY,
            **values,
        }
        with self._database.begin() as connection:
            connection.execute(self._database.upsert(contents), row)
        return True

    def content(self, request: str, key: str | None, *, admin: bool = False) -> Content | None:
        """What was kept of the request, if it is of ``key`` or for ``admin``; else None."""
        columns = [contents.c[name] for name in _FIELDS]
        query = select(*columns).where(_one(request, key, admin))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or (row.prompt is None and row.output is None):
            return None
        values = row._asdict()
        for name in ("prompt", "output"):
            values[name] = None if values[name] is None else json.loads(values[name])
        return Content(**values)

    def receipt(self, request: str, key: str | None, *, admin: bool = False) -> bytes | None:
        """The receipt of the request, as :meth:`content`."""
        query = select(contents.c.receipt).where(_one(request, key, admin))
        with self._database.read() as connection:
            return connection.scalar(query)

    def delete(
        self, *, key: str | None = None, user: str | None = None, request: str | None = None
    ) -> int:
        """Delete the contents of all that is named together, and say of how many requests.

        Raises :class:`InvalidRequestError` if nothing is named: everything is never meant.
        """
        named = {"key": key, "user": user and printable(user), "request": request}
        asked = [contents.c[name] == value for name, value in named.items() if value is not None]
        if not asked:
            raise InvalidRequestError("delete", "needs a key, a user or a request")
        return self._delete(and_(*asked))

    def sweep(self, now: float) -> int:
        """Delete what is past its time at ``now``, and say of how many requests."""
        return self._delete(contents.c.expires <= now)

    def _delete(self, which: ColumnElement[bool]) -> int:
        with self._database.begin() as connection:
            count = connection.execute(delete(contents).where(which)).rowcount
        if count:
            self._database.forget()
        return count


def _one(request: str, key: str | None, admin: bool) -> ColumnElement[bool]:
    alive = contents.c.expires > time.time()
    return and_(contents.c.request == request, visible(contents, key, admin), alive)


def _spelled(value: object) -> str | None:
    return None if value is None else json.dumps(value)
