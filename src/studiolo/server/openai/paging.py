"""Lists in pages, and ids, as the OpenAI API has them.

A page is asked for by ``limit`` and the id ``after`` which it begins. What else an address is asked
with is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from studiolo.errors import InvalidRequestError
from studiolo.server.desk import whole_number

ID = re.compile(r"[A-Za-z0-9_-]{1,80}", re.ASCII)
ANSWER = re.compile(r"[a-z]+[-_]([0-9a-f]{24})", re.ASCII)


@dataclass(frozen=True)
class Page:
    """What is asked for. ``rising``: the oldest first."""

    limit: int
    after: str | None
    rising: bool


def asked(request: Request, *, default: int, most: int, orders: Sequence[str] = ("desc",)) -> Page:
    """The page that ``request`` asks for; ``orders``: those there are, the usual one first.

    Raises :class:`InvalidRequestError`.
    """
    query = request.query_params
    limit = query.get("limit")
    order = query.get("order", orders[0])
    if order not in orders:
        raise InvalidRequestError("order", f"must be {' or '.join(orders)}, not {order!r:.40}")
    size = default if limit is None else whole_number("limit", limit, 1, most)
    return Page(size, word(request, "after"), order == "asc")


def word(request: Request, name: str) -> str | None:
    """A parameter of the query that is an id or a name; None if it is not given.

    Raises :class:`InvalidRequestError` for anything else, which no database need see.
    """
    value = request.query_params.get(name)
    if value is not None and not is_id(value):
        raise InvalidRequestError(name, f"{value!r:.60} is no id")
    return value


def is_id(text: str) -> bool:
    """Whether anything here could be called that."""
    return ID.fullmatch(text) is not None


def check(request: Request, *known: str) -> None:
    """Raise :class:`InvalidRequestError` for a parameter of the query that is none of ``known``."""
    for name in request.query_params:
        if name not in known:
            told = f"There are {', '.join(known)}." if known else "Leave it out."
            raise InvalidRequestError(name, "there is no such parameter here", remedy=told)


def written(found: Sequence[dict[str, Any]], page: Page) -> dict[str, Any]:
    """The body of a list; ``found`` holds one more than the page if there is a next one."""
    shown = found[: page.limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(found) > page.limit,
    }


def request_of(id: str) -> str | None:
    """The id of the request whose answer has the id ``id``; None if no answer can."""
    found = ANSWER.fullmatch(id)
    return None if found is None else f"req_{found[1]}"
