"""How much a key may ask for: requests and tokens a minute, and a budget.

Requests and tokens flow from buckets that fill steadily and hold a minute's worth (the token
bucket; Turner 1986). What an answer will take is not known beforehand, so its tokens are taken
when it is over; a bucket in debt lets nobody in until it has filled again. The budget is what the
records say was spent, read again every second and counted on in between, so that it holds across
restarts and processes; rates are per process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from studiolo.errors import BusyError
from studiolo.record.grant import Key

MINUTE = 60.0
LATER = 3600.0
"""Seconds after which to ask again where only a larger budget helps."""
FRESH = 1.0
"""Seconds that what was spent is believed."""


class LimitError(BusyError):
    """A key has used up what it may use."""


@dataclass
class _Bucket:
    """Holds up to ``size``, filled within a minute."""

    size: float
    level: float
    at: float

    def wait(self, now: float, needed: float) -> float:
        """Seconds until ``needed`` is there."""
        self.level = min(self.size, self.level + (now - self.at) * self.size / MINUTE)
        self.at = now
        return max(0.0, (needed - self.level) * MINUTE / self.size)


class Limiter:
    """``spent(key, since)``: cost since a Unix time. Any thread may use it."""

    def __init__(
        self,
        spent: Callable[[str, float], float],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._read_spent, self._clock, self._now = spent, clock, now
        self._sums: dict[str, tuple[float, float]] = {}
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._lock = threading.Lock()

    def admit(self, key: Key) -> None:
        """Take one request; raises :class:`LimitError`, which says when to come back."""
        now = self._clock()
        with self._lock:
            for kind, limit in (
                ("tokens", key.limits.tokens_per_minute),
                ("requests", key.limits.requests_per_minute),
            ):
                if limit is None:
                    continue
                bucket = self._bucket(key.id, kind, limit, now)
                needed = 1.0 if kind == "requests" else 0.0
                wait = bucket.wait(now, needed)
                if wait > 0:
                    raise LimitError(
                        f"the key {key.id} may take {limit:,} {kind} a minute, and has",
                        remedy=f"Try again in {wait:.1f} seconds.",
                        retry_after=wait,
                    )
                bucket.level -= needed
        budget = key.limits.budget
        if budget is not None:
            started, over = budget.period(self._now())
            spent = self._spent(key.id, started)
            if spent >= budget.amount:
                raise LimitError(
                    f"the key {key.id} has spent {spent:.6g} of its budget of {budget}",
                    remedy="Wait for the next period, or raise the budget.",
                    retry_after=min(LATER, over - self._now()),
                )

    def charge(self, key: Key, tokens: int, cost: float) -> None:
        """Take the tokens and the cost of an answer that is over."""
        now, limit = self._clock(), key.limits.tokens_per_minute
        with self._lock:
            if limit is not None:
                bucket = self._bucket(key.id, "tokens", limit, now)
                bucket.wait(now, 0)
                bucket.level -= tokens
            if key.id in self._sums:
                read, spent = self._sums[key.id]
                self._sums[key.id] = read, spent + cost

    def _spent(self, key: str, since: float) -> float:
        """What ``key`` has spent, as it was read not long ago and counted on since."""
        now = self._clock()
        with self._lock:
            read, spent = self._sums.get(key, (-FRESH, 0.0))
        if now - read < FRESH:
            return spent
        # What was answered a moment ago may not be written yet; it is seen the next time.
        fresh = self._read_spent(key, since)
        with self._lock:
            self._sums[key] = now, fresh
        return fresh

    def _bucket(self, key: str, kind: str, size: int, now: float) -> _Bucket:
        bucket = self._buckets.get((key, kind))
        if bucket is None or bucket.size != size:
            bucket = self._buckets[key, kind] = _Bucket(size, size, now)
        return bucket
