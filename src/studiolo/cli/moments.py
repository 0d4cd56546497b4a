"""Times on the command line: ``30d`` for how long or how long ago, ``2026-11-22`` for a day.

Days are those of UTC, as in the records.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from studiolo.errors import InvalidRequestError

UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
MOST = 100 * 366 * 86_400
"""Seconds: a century is longer than anything that is meant here."""


def duration(text: str, field: str) -> float:
    """Seconds of ``90m``, ``12h``, ``30d`` or ``2w``. Raises :class:`InvalidRequestError`."""
    found = re.fullmatch(r"([0-9]{1,9})([mhdw])", text.strip(), re.ASCII)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= MOST:
        raise InvalidRequestError(
            field, f"{text!r:.40} is not like 90m, 12h, 30d or 2w, up to a century"
        )
    return float(seconds)


def moment(text: str, field: str, now: float) -> float:
    """Unix seconds of a day, ``2026-11-22``, or of so long before ``now``, ``30d``.

    Raises :class:`InvalidRequestError`.
    """
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        pass
    try:
        return now - duration(text, field)
    except InvalidRequestError:
        raise InvalidRequestError(
            field, f"{text!r:.40} is neither a day like 2026-11-22 nor a time like 12h or 30d"
        ) from None


def stamp(seconds: float) -> str:
    """A moment as ISO 8601 in UTC: ``2026-11-22T10:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
