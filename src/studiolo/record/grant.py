"""What a key grants: endpoints by scope, models by name, and how much of them.

Plain values, checked when they are made. Periods are those of the calendar in UTC, so that every
replica, and whoever reads the bill, means the same day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal, Self, get_args

from studiolo.errors import InvalidRequestError

Scope = Literal["inference", "batch", "models:read", "models:write", "usage", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
Period = Literal["day", "month", "total"]
PERIODS: tuple[Period, ...] = get_args(Period)
MAX_TEXT = 200
"""Characters of a name, an owner, or a pattern."""


@dataclass(frozen=True)
class Budget:
    """``amount``: units of cost, above 0, that may be spent ``per`` day, month, or in all."""

    amount: float
    per: Period

    def __post_init__(self) -> None:
        if not 0 < self.amount < math.inf:
            raise InvalidRequestError("budget", f"must be above 0, not {self.amount:g}")
        if self.per not in PERIODS:
            known = ", ".join(PERIODS)
            raise InvalidRequestError("budget", f"is per one of {known}, not {self.per!r:.40}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``10/month``. Raises :class:`InvalidRequestError`."""
        amount, separator, per = text.partition("/")
        try:
            number = float(amount)
        except ValueError:
            separator = ""
        if not separator:
            raise InvalidRequestError("budget", f"{text!r:.40} is not like 10/month or 0.5/day")
        return cls(number, per)  # type: ignore[arg-type]  # checked there

    def __str__(self) -> str:
        return f"{self.amount:g}/{self.per}"

    def period(self, now: float) -> tuple[float, float]:
        """Beginning and end, Unix seconds, of the period that ``now`` is in."""
        if self.per == "total":
            return 0.0, math.inf
        start = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        end = start + timedelta(days=1)
        if self.per == "month":
            start = start.replace(day=1)
            end = (start + timedelta(days=31)).replace(day=1)
        return start.timestamp(), end.timestamp()


@dataclass(frozen=True)
class Limits:
    """The most that a key may do; None: as much as it likes."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget: Budget | None = None

    def __post_init__(self) -> None:
        for field in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, field)
            if value is not None and not 1 <= value < 1 << 53:
                raise InvalidRequestError(field, f"must be 1 or more, not {value:,}")


@dataclass(frozen=True)
class Key:
    """A key, without its secret. Times are Unix seconds; ``models``: patterns as of a shell."""

    id: str
    name: str
    owner: str
    scopes: tuple[Scope, ...]
    models: tuple[str, ...]
    limits: Limits
    created: float
    expires: float | None = None
    revoked: float | None = None

    def __post_init__(self) -> None:
        _check_text("name", self.name)
        if self.owner:
            _check_text("owner", self.owner)
        if not self.scopes:
            raise InvalidRequestError("scopes", f"none is given; there are {', '.join(SCOPES)}")
        for scope in self.scopes:
            if scope not in SCOPES:
                known = ", ".join(SCOPES)
                raise InvalidRequestError("scopes", f"{scope!r:.40} is none; there are {known}")
        if not self.models:
            raise InvalidRequestError("models", "none is given; * is for all of them")
        for pattern in self.models:
            _check_text("models", pattern)
        if self.expires is not None and not self.created < self.expires < math.inf:
            raise InvalidRequestError("expires", "must be later than now")

    def usable(self, now: float) -> bool:
        """Whether it is neither revoked nor past its time."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def allows(self, scope: Scope) -> bool:
        """Whether it has that scope; ``admin`` has every one."""
        return scope in self.scopes or "admin" in self.scopes

    def allows_model(self, name: str) -> bool:
        """Whether a pattern is that of the model called ``name``."""
        return any(fnmatchcase(name, pattern) for pattern in self.models)


def _check_text(field: str, value: str) -> None:
    if not 1 <= len(value) <= MAX_TEXT or not value.isprintable():
        raise InvalidRequestError(
            field, f"must be 1 to {MAX_TEXT} characters that can be printed, not {value!r:.60}"
        )
