"""Feedback: how good an answer was, why, and what it should have been, as whoever asked says.

One rating for a request, the newest; only the key that made the request may give it. It also says
whether models may learn of it, and does not unless somebody said so: what is kept to serve somebody
is not thereby training data. Where contents are kept, ratings are given out with prompt and output
beside them; ``training/feedback`` makes data of these, and reads nothing else of the records.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import and_, delete, select

from studiolo.errors import InvalidRequestError, NotFoundError
from studiolo.record.database import Database
from studiolo.record.paging import page, visible
from studiolo.record.tables import contents, feedback, printable, requests

MAX_COMMENT, MAX_CORRECTION = 10_000, 100_000
"""Characters."""


@dataclass(frozen=True)
class Rating:
    """``rating``: from -1, bad, to 1, good; ``created``: Unix seconds.

    ``correction``: the answer as it should have been. ``consent``: whether models may be trained
    on prompt, answer and correction.
    """

    request: str
    key: str | None
    rating: float
    comment: str
    correction: str | None
    consent: bool
    created: float


@dataclass(frozen=True)
class Rated:
    """A rating, and what was rated: JSON values as they were kept, or None."""

    rating: Rating
    model: str | None
    weights: str | None
    prompt: Any
    output: Any


_SAID = ("rating", "comment", "correction", "consent", "created")


class Feedback:
    """The feedback in ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self,
        request: str,
        key: str | None,
        rating: float,
        comment: str = "",
        *,
        correction: str | None = None,
        consent: bool = False,
    ) -> Rating:
        """Rate a request that ``key`` has made; an earlier rating is replaced, its consent too.

        Raises :class:`InvalidRequestError` for a rating outside -1 to 1 and a comment or a
        correction that is too long, and :class:`NotFoundError` for a request that this key has not
        made.
        """
        if not -1 <= rating <= 1:
            raise InvalidRequestError("rating", f"must be from -1 to 1, not {rating:g}")
        made = Rating(
            request,
            key,
            float(rating),
            _short("comment", comment, MAX_COMMENT),
            _short("correction", correction, MAX_CORRECTION) if correction else None,
            consent,
            time.time(),
        )
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

    def rated(
        self, *, key: str | None = None, model: str | None = None, since: float = 0.0
    ) -> Iterator[Rated]:
        """The ratings with what was rated, the oldest first.

        Of ``key`` or of everybody, of the model that was asked for by that name or of all, given
        at ``since`` (Unix seconds) or later. What is past its time is as if it had not been kept.
        """
        alive = and_(contents.c.request == feedback.c.request, contents.c.expires > time.time())
        query = (
            select(
                feedback, requests.c.model, requests.c.weights, contents.c.prompt, contents.c.output
            )
            .outerjoin_from(feedback, requests, requests.c.id == feedback.c.request)
            .outerjoin(contents, alive)
            .where(feedback.c.created >= since)
            .order_by(feedback.c.created, feedback.c.request)
        )
        if key is not None:
            query = query.where(feedback.c.key == key)
        if model is not None:
            query = query.where(requests.c.model == model)
        with self._database.read() as connection:
            for row in connection.execution_options(yield_per=500).execute(query):
                yield _rated(row._asdict())

    def export(self, *, key: str | None = None, since: float = 0.0) -> Iterator[str]:
        """The same as JSON lines, whatever their consent: a copy of the records, no data set.

        Each has ``request``, ``model``, ``weights``, ``rating``, ``comment``, ``correction``,
        ``consent``, ``created``, and ``prompt`` and ``output``, which are null where they were not
        kept.
        """
        for each in self.rated(key=key, since=since):
            values = {"request": each.rating.request, "model": each.model, "weights": each.weights}
            values |= {name: getattr(each.rating, name) for name in _SAID}
            values |= {"prompt": each.prompt, "output": each.output}
            yield json.dumps(values, ensure_ascii=False)

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


def _short(field: str, text: str, limit: int) -> str:
    if len(text) > limit:
        why = f"has {len(text):,} characters, and may have {limit:,}"
        raise InvalidRequestError(field, why)
    return printable(text, limit)


def _rated(row: dict[str, Any]) -> Rated:
    kept = (None if row[name] is None else json.loads(row[name]) for name in ("prompt", "output"))
    rating = Rating(**{field.name: row[field.name] for field in fields(Rating)})
    return Rated(rating, row["model"], row["weights"], *kept)
