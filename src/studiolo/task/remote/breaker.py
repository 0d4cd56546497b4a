"""A circuit breaker: what has failed so many times in a row is left alone for a while.

Closed, everything passes. After ``failures`` in a row it opens: nothing passes for ``seconds``.
Then it is half open: one request passes, and its end closes the circuit or opens it anew.
Source: M. Nygard, "Release It!", chapter 5. Its clock is handed in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Ask :meth:`wait` before a request, and say after it how it went. Any thread may."""

    def __init__(
        self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._seconds, self._clock = failures, seconds, clock
        self._failures = 0
        self._until: float | None = None  # open until then; None is closed
        self._probing = False
        self._lock = threading.Lock()

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        with self._lock:
            if self._until is None:
                return "closed"
            return "open" if self._clock() < self._until else "half-open"

    def wait(self) -> float:
        """Seconds until a request may pass; 0: this one does, and its end must be told."""
        with self._lock:
            if self._until is None:
                return 0.0
            left = self._until - self._clock()
            if left > 0:
                return left
            if self._probing:
                return self._seconds
            self._probing = True
            return 0.0

    def succeeded(self) -> None:
        """A request got what it asked for, or was refused for a fault of its own."""
        with self._lock:
            self._failures, self._until, self._probing = 0, None, False

    def failed(self) -> None:
        """A request failed for no fault of its own."""
        with self._lock:
            self._failures += 1
            self._probing = False
            if self._failures >= self._limit or self._until is not None:
                self._until = self._clock() + self._seconds

    def abandoned(self) -> None:
        """A request was given up before anything was known of how it would go."""
        with self._lock:
            self._probing = False
