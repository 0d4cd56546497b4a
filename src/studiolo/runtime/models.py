"""Several models in one process, within a budget of memory.

A model is loaded when it is first asked for. When room is short, the least recently used goes,
never one in use; what does not fit is refused, and the message does the sum. To claim a model is
to have room made for it, which takes no time, and to load it may take long: so whoever must not
wait can have others load it. Loaders are handed in: this module does not know what a model is,
nor where it comes from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from studiolo.errors import BusyError, InvalidRequestError, MemoryLimitError, UnknownModelError

M = TypeVar("M")


class _Entry(Generic[M]):
    def __init__(self, load: Callable[[], M], size: int, forget: Callable[[], object]) -> None:
        self.load, self.size, self.forget = load, size, forget
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

    def add(
        self,
        name: str,
        load: Callable[[], M],
        size: int,
        forget: Callable[[], object] = lambda: None,
    ) -> None:
        """Make ``name`` known. ``size``: bytes that the model takes once loaded, at most.

        ``forget`` is called when it is unloaded: what else holds on to it should let go then.
        """
        with self._lock:
            if name in self._entries:
                raise InvalidRequestError("name", f"there is a model called {name!r} already")
            self._entries[name] = _Entry(load, size, forget)

    def __contains__(self, name: str) -> bool:
        """Whether a model of that name is known."""
        with self._lock:
            return name in self._entries

    @property
    def loaded(self) -> dict[str, int]:
        """Names and sizes of what is loaded or being loaded, the least recently used first."""
        with self._lock:
            return {name: each.size for name, each in self._entries.items() if each.counted}

    @property
    def opened(self) -> dict[str, M]:
        """Those that are loaded, the least recently used first."""
        with self._lock:
            return {name: e.model for name, e in self._entries.items() if e.model is not None}

    def acquire(self, name: str) -> M:
        """The model, loaded and in use until :meth:`release`.

        Raises what :meth:`claim` and :meth:`load` do.
        """
        self.claim(name)
        try:
            return self.load(name)
        except BaseException:
            self.release(name)
            raise

    def claim(self, name: str) -> None:
        """Have room for the model, which is in use from now until :meth:`release`.

        Does not wait. Raises :class:`UnknownModelError`, :class:`MemoryLimitError` for what can
        never fit, and :class:`BusyError` for what will once others are done.
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

    def load(self, name: str) -> M:
        """The model, for one who has claimed it; raises what its loader does."""
        with self._lock:
            entry = self._entries[name]
        with entry.loading:  # whoever comes while it is being loaded waits here
            if entry.model is None:
                entry.model = entry.load()
            return entry.model

    def unload(self, name: str) -> None:
        """Free a model's memory, and forget its name; harmless where it is not known.

        Raises :class:`BusyError` while it is in use.
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                return
            if entry.users:
                raise BusyError(f"{name} is in use", remedy="Try again later.")
            del self._entries[name]
            _drop(entry)

    def release(self, name: str) -> None:
        """One use of the model is over."""
        with self._lock:
            entry = self._entries[name]
            entry.users -= 1
            if entry.model is None and not entry.users:  # it could not be loaded
                entry.counted = False

    def _make_room(self, name: str, size: int) -> None:
        loaded = {other: each for other, each in self._entries.items() if each.counted}
        taken = sum(each.size for each in loaded.values())
        idle = {other: each for other, each in loaded.items() if not each.users}
        if size > self.limit - taken + sum(each.size for each in idle.values()):
            told = (
                f"{name} takes {size / 1e6:,.1f} MB; all models together may take "
                f"{self.limit / 1e6:,.1f} MB"
            )
            if size > self.limit:
                raise MemoryLimitError(told, remedy="Choose a smaller model, or raise the limit.")
            kept = ", ".join(
                f"{other} ({each.size / 1e6:,.1f} MB)"
                for other, each in loaded.items()
                if each.users
            )
            raise BusyError(
                f"{told}, and in use are {kept}",
                remedy="Wait until those are done, or raise the limit.",
            )
        for each in idle.values():
            if size <= self.limit - taken:
                break
            _drop(each)
            taken -= each.size


def _drop(entry: _Entry[M]) -> None:
    entry.model, entry.counted = None, False
    entry.forget()
