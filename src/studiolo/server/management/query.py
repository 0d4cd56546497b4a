"""What stands after the ``?`` of an address: known names, each once, and times."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from fastapi import Request

from studiolo.errors import InvalidRequestError

LATEST = 1 << 40
"""Unix seconds beyond which nobody means a time."""


def queried(request: Request, names: Collection[str]) -> dict[str, str]:
    """The query's values, by those of ``names`` that stand in it.

    Raises :class:`InvalidRequestError` for another, or one that stands there twice.
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names:
            known = ", ".join(names)
            raise InvalidRequestError(
                name, "there is no such query here", remedy=f"Known: {known}."
            )
        if name in found:
            raise InvalidRequestError(name, "stands in the query twice")
        found[name] = value
    return found


def moment(field: str, text: str | None) -> float | None:
    """Unix seconds, from themselves or from a day in UTC, ``2026-11-22``.

    Raises :class:`InvalidRequestError`.
    """
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and int(text) < LATEST:
        return float(text)
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        raise InvalidRequestError(
            field, f"must be Unix seconds or a day like 2026-11-22, not {text!r:.40}"
        ) from None


def queries(**described: str) -> dict[str, Any]:
    """What a route says of itself (``openapi_extra``) that may be asked with such queries."""
    return {
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string"}, "description": text}
            for name, text in described.items()
        ]
    }
