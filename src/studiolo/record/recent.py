"""What was read lately, so that it need not be read for every request.

A value is taken for granted for :data:`FRESH` seconds and then read again. If that fails because
the database is away, the old value is believed until it is :data:`STALE` seconds old, so that a
short outage ends nothing. Does not know what is read.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from studiolo.errors import BusyError, RecordsError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
FRESH = 1.0
STALE = 60.0
ROOM = 4096
"""Values that are remembered; the one asked for longest ago goes first."""


@dataclass(frozen=True)
class _Held(Generic[V]):
    value: V
    read: float
    tried: float


class Recent(Generic[K, V]):
    """``read(name)``, remembered. ``clock``: seconds that never go back."""

    def __init__(self, read: Callable[[K], V], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._held: OrderedDict[K, _Held[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: K) -> V:
        """The value, at most a second old where it can be read; raises what reading does."""
        with self._lock:
            held = self._held.get(name)
        now = self._clock()
        if held is not None and now - held.tried < FRESH:
            return held.value
        try:
            made = _Held(self._read(name), now, now)
        except (RecordsError, BusyError):
            if held is None or now - held.read >= STALE:
                raise
            made = _Held(held.value, held.read, now)
        with self._lock:
            self._held[name] = made
            self._held.move_to_end(name)
            if len(self._held) > ROOM:
                self._held.popitem(last=False)
        return made.value

    def fresh(self, name: K) -> bool:
        """Whether :meth:`get` gives the value at once, without reading."""
        with self._lock:
            held = self._held.get(name)
        return held is not None and self._clock() - held.tried < FRESH

    def forget(self, name: K) -> None:
        """Read it anew the next time."""
        with self._lock:
            self._held.pop(name, None)
