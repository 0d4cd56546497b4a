"""Several models in one process, within a budget of memory.

A model is loaded when it is first asked for. When room is short, the least recently used goes,
never one in use; what does not fit is refused, and the message does the sum. Loaders are handed
in: this module does not know what a model is, nor where it comes from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from studiolo.errors import InvalidRequestError, MemoryLimitError, UnknownModelError

M = TypeVar("M")


class _Entry(Generic[M]):
    def __init__(self, load: Callable[[], M], size: int) -> None:
        self.load, self.size = load, size
        self.users = 0
        self.counted = False  # in the budget: loaded, or being loaded
        self.model: M | None = None
        self.loading = threading.Lock()


class Models(Generic[M]):
    """``limit``: bytes that all loaded models together may take. Any thread may use it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: dict[str, _Entry[M]] = {}  # the least recently used first
        self._lock = threading.Lock()

    def add(self, name: str, load: Callable[[], M], size: int) -> None:
        """Make ``name`` known. ``size``: bytes that the model takes once loaded, at most."""
        with self._lock:
            if name in self._entries:
                raise InvalidRequestError("name", f"there is a model called {name!r} already")
            self._entries[name] = _Entry(load, size)

    @property
    def loaded(self) -> dict[str, int]:
        """Names and sizes of what is loaded or being loaded, the least recently used first."""
        with self._lock:
            return {name: each.size for name, each in self._entries.items() if each.counted}

    def acquire(self, name: str) -> M:
        """The model, loaded and in use until :meth:`release`.

        Raises :class:`UnknownModelError`, :class:`MemoryLimitError`, and what the loader does.
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                raise UnknownModelError(name, self._entries)
            if not entry.counted:
                self._make_room(name, entry.size)
                entry.counted = True
            self._entries[name] = self._entries.pop(name)
            entry.users += 1
        try:
            with entry.loading:  # whoever comes while it is being loaded waits here
                if entry.model is None:
                    entry.model = entry.load()
                return entry.model
        except BaseException:
            with self._lock:
                entry.users -= 1
                if entry.model is None and not entry.users:
                    entry.counted = False
            raise

    def release(self, name: str) -> None:
        """One use of the model is over."""
        with self._lock:
            self._entries[name].users -= 1

    def _make_room(self, name: str, size: int) -> None:
        loaded = {other: each for other, each in self._entries.items() if each.counted}
        taken = sum(each.size for each in loaded.values())
        idle = {other: each for other, each in loaded.items() if not each.users}
        if size > self.limit - taken + sum(each.size for each in idle.values()):
            kept = ", ".join(
                f"{other} ({each.size / 1e6:,.1f} MB)"
                for other, each in loaded.items()
                if each.users
            )
            raise MemoryLimitError(
                f"{name} takes {size / 1e6:,.1f} MB; all models together may take "
                f"{self.limit / 1e6:,.1f} MB" + (f", and in use are {kept}" if kept else ""),
                remedy="Wait until those are done, or raise the limit."
                if kept and size <= self.limit
                else "Choose a smaller model, or raise the limit.",
            )
        for each in idle.values():
            if size <= self.limit - taken:
                break
            each.model, each.counted = None, False
            taken -= each.size
