"""Rows that are handed over and written soon after, in groups, by one thread.

The thread begins with the first row. A group that cannot be written is kept and tried again, at
growing intervals, for as long as it takes. Only when more rows wait than there is room for does
:meth:`Writer.put` wait, and then for a second at most: what still finds no room, and what is left
when the writer is closed, is handed to ``lose``.

Does not know what a row is. Nothing that ``write`` raises ends the thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
GROUP = 256
"""Rows in one group, at most."""
AGE = 0.05
"""Seconds that a row may wait for others."""
ROOM = 65_536
"""Rows that may wait, as a rule."""
PATIENCE = 1.0
"""Seconds that :meth:`Writer.put` waits for room."""
BACKOFF = (0.1, 5.0)
"""Seconds between attempts: at first, and at most; each is twice the one before."""
_log = logging.getLogger(__name__)


class Writer(Generic[T]):
    """``write`` is given the groups, one after another; close it."""

    def __init__(
        self,
        write: Callable[[Sequence[T]], None],
        lose: Callable[[T], None],
        *,
        room: int = ROOM,
    ) -> None:
        self._write, self._lose, self._room = write, lose, room
        self._enough = min(GROUP, room)
        self._waiting: deque[tuple[float, T]] = deque()
        self._taken = self._done = 0
        self._hurry = 0  # what is among the first so many is written at once
        self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def lag(self) -> float:
        """Seconds for which the oldest row that is not written has been waiting."""
        with self._changed:
            return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

    def put(self, row: T) -> None:
        """Have ``row`` written soon; returns at once unless there is no room."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
                self._thread.start()
            self._changed.wait_for(self._has_room_or_closes, PATIENCE)
            if not self._closing and len(self._waiting) < self._room:
                self._waiting.append((time.monotonic(), row))
                self._taken += 1
                if len(self._waiting) in (1, self._enough):
                    self._changed.notify_all()
                return
        self._lose(row)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was put so far is written; False if it is not after ``timeout``."""
        with self._changed:
            taken = self._taken
            self._hurry = max(self._hurry, taken)
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._done >= taken, timeout)

    def close(self, timeout: float) -> None:
        """Write what is left and end; what is not written after ``timeout`` seconds is lost."""
        self.flush(timeout)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _has_room_or_closes(self) -> bool:
        return len(self._waiting) < self._room or self._closing

    def _is_due(self) -> bool:
        return len(self._waiting) >= self._enough or self._hurry > self._done or self._closing

    def _work(self) -> None:
        pause = BACKOFF[0]
        while group := self._group():
            try:
                self._write(group)
            except Exception as error:
                if pause == BACKOFF[0]:
                    _log.warning(
                        "%d rows wait, since they cannot be written: %s", len(group), error
                    )
                with self._changed:
                    if self._changed.wait_for(lambda: self._closing, pause):
                        break
                pause = min(2 * pause, BACKOFF[1])
                continue
            pause = BACKOFF[0]
            self._drop(len(group))
        for row in self._drop(len(self._waiting)):
            self._lose(row)

    def _group(self) -> list[T]:
        """The next rows, when they are due; none when it is closed and there are none left."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._waiting:
                due = self._waiting[0][0] + AGE
                self._changed.wait_for(self._is_due, max(0.0, due - time.monotonic()))
            return [row for _, row in islice(self._waiting, GROUP)]

    def _drop(self, count: int) -> list[T]:
        """Take the oldest ``count`` rows out of the queue."""
        with self._changed:
            rows = [self._waiting.popleft()[1] for _ in range(count)]
            self._done += count
            self._changed.notify_all()
            return rows
