"""Feedback: how good an answer was, and why, as whoever asked says.

One rating for a request, the newest; only the key that made the request may give it. Where
contents are kept, the exported lines hold prompt and output beside the rating, so that a training
run can read them as a file; it reads nothing else of the records.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, select

from studiolo.errors import InvalidRequestError, NotFoundError
from studiolo.record.database import Database
from studiolo.record.paging import page, visible
from studiolo.record.tables import contents, feedback, printable, requests

MAX_COMMENT = 10_000
"""Characters."""


@dataclass(frozen=True)
class Rating:
    """``rating``: from -1, bad, to 1, good; ``created``: Unix seconds."""

    request: str
    key: str | None
    rating: float
    comment: str
    created: float


class Feedback:
    """The feedback in ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, request: str, key: str | None, rating: float, comment: str = "") -> Rating:
        """Rate a request that ``key`` has made; an earlier rating is replaced.

        Raises :class:`InvalidRequestError` for a rating outside -1 to 1 and a comment that is too
        long, and :class:`NotFoundError` for a request that this key has not made.
        """
        if not -1 <= rating <= 1:
            raise InvalidRequestError("rating", f"must be from -1 to 1, not {rating:g}")
        if len(comment) > MAX_COMMENT:
            why = f"has {len(comment):,} characters, and may have {MAX_COMMENT:,}"
            raise InvalidRequestError("comment", why)
        made = Rating(request, key, float(rating), printable(comment, MAX_COMMENT), time.time())
        mine = and_(requests.c.id == request, visible(requests, key, False))
        with self._database.begin() as connection:
            if connection.scalar(select(requests.c.id).where(mine)) is None:
                raise NotFoundError(f"{request!r:.60} is no request of this key")
            connection.execute(self._database.upsert(feedback), vars(made))
        return made

    def list(
        self, key: str | None, *, limit: int = 100, before: str | None = None, admin: bool = False
    ) -> tuple[Rating, ...]:
        """The ratings of ``key``, or everybody's for ``admin``, the newest first.

        ``before``: the request of a rating, for those that are older: the next page.
        """
        query = select(feedback).where(visible(feedback, key, admin))
        with self._database.read() as connection:
            rows = page(connection, query, feedback.c.created, before, limit)
        return tuple(Rating(**row._asdict()) for row in rows)

    def export(self, *, key: str | None = None, since: float = 0.0) -> Iterator[str]:
        """JSON lines, the oldest first, of ``key`` or of everybody.

        Each has ``request``, ``model``, ``weights``, ``rating``, ``comment``, ``created``, and
        ``prompt`` and ``output``, which are null where they were not kept.
        """
        query = (
            select(
                feedback, requests.c.model, requests.c.weights, contents.c.prompt, contents.c.output
            )
            .outerjoin_from(feedback, requests, requests.c.id == feedback.c.request)
            .outerjoin(contents, contents.c.request == feedback.c.request)
            .where(feedback.c.created >= since)
            .order_by(feedback.c.created, feedback.c.request)
        )
        if key is not None:
            query = query.where(feedback.c.key == key)
        with self._database.read() as connection:
            for row in connection.execution_options(yield_per=500).execute(query):
                yield _line(row._asdict())

    def delete(self, *, key: str | None = None, user: str | None = None) -> int:
        """Delete the ratings and comments of a key, a user or both, and say how many.

        Raises :class:`InvalidRequestError` if neither is named.
        """
        asked = []
        if key is not None:
            asked.append(feedback.c.key == key)
        if user is not None:
            of_user = select(requests.c.id).where(requests.c.user == printable(user))
            asked.append(feedback.c.request.in_(of_user))
        if not asked:
            raise InvalidRequestError("delete", "needs a key or a user")
        with self._database.begin() as connection:
            count = connection.execute(delete(feedback).where(*asked)).rowcount
        if count:
            self._database.forget()
        return count


def _line(row: dict[str, Any]) -> str:
    values = {name: row[name] for name in ("request", "model", "weights")}
    values |= {name: row[name] for name in ("rating", "comment", "created")}
    for name in ("prompt", "output"):
        values[name] = None if row[name] is None else json.loads(row[name])
    return json.dumps(values, ensure_ascii=False)
