"""One thread that turns the loop, and the doors to it: for threads and for asyncio.

A submission gives a :class:`Ticket` at once. A model is loaded, in the thread that asks for it,
when it is first asked for; those already running go on meanwhile. Knows names and loaders of
models, and no family.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from studiolo.errors import RequestCancelledError
from studiolo.runtime.loop import Loop, Model
from studiolo.runtime.models import Models
from studiolo.runtime.queue import Job
from studiolo.runtime.scheduler import Lane, Pace
from studiolo.runtime.ticket import Ticket

CLOSED = "the engine is closed"


class _Loaded(NamedTuple):
    model: Model
    lane: Lane


class Engine:
    """Many requests to several models, a step at a time. Close it, or use it in a ``with``.

    ``model_memory``: bytes that all loaded models together may take; ``request_memory``: what all
    requests under way may hold beside them. ``weights``: shares of clients, 1 unless given.
    """

    def __init__(
        self,
        *,
        model_memory: int,
        request_memory: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.models: Models[_Loaded] = Models(model_memory)
        self.loop = Loop(memory=request_memory, weights=weights)
        self._news = threading.Event()
        self._closed = False
        self._fault: BaseException | None = None
        # A daemon, so that an engine that nobody closed does not keep the process from ending;
        # and closed at exit, so that no step is under way while the interpreter is taken down.
        self._thread = threading.Thread(target=self._run, name="studiolo-engine", daemon=True)
        atexit.register(self.close)
        self._thread.start()

    def add(
        self,
        name: str,
        load: Callable[[], Model],
        size: int,
        pace: Pace | None = None,
        forget: Callable[[], object] = lambda: None,
    ) -> None:
        """Make a model known; ``size``: bytes that it takes once loaded, at most.

        ``forget`` is called when it is unloaded.
        """

        def open_lane() -> _Loaded:
            return _Loaded(load(), self.loop.lane(pace or Pace()))

        self.models.add(name, open_lane, size, forget)

    def submit(
        self,
        name: str,
        request: object,
        *,
        seed: int = 0,
        client: str = "",
        priority: int = 0,
        timeout: float | None = None,
        watch: Callable[[Any], object] | None = None,
    ) -> Ticket[Any]:
        """Ask the model ``name`` for a sample; the options are those of :meth:`Loop.submit`.

        Returns when the request is queued; the model's first load happens before that. Raises
        what :meth:`Models.acquire` and :meth:`Loop.submit` do, and
        :class:`RequestCancelledError` when the engine is closed.
        """
        self._check()
        loaded = self.models.acquire(name)
        job: Job | None = None

        def cancel() -> None:
            if job is not None:
                self.loop.cancel(job)
                self._news.set()

        ticket: Ticket[Any] = Ticket(cancel, lambda: self.models.release(name))
        try:
            job = self.loop.submit(
                loaded.lane,
                loaded.model,
                request,
                ticket,
                seed=seed,
                client=client,
                priority=priority,
                timeout=timeout,
                watch=watch,
            )
        except BaseException:
            self.models.release(name)
            raise
        self._news.set()
        if self._closed:  # since it was checked; nobody may turn any more
            cancel()
        return ticket

    @property
    def closed(self) -> bool:
        """Whether no step will be taken any more."""
        return self._closed

    def close(self) -> None:
        """Finish the step that is being taken, and cancel everything else."""
        self._closed = True
        self._news.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._closed:
            raise RequestCancelledError(CLOSED) from self._fault

    def _run(self) -> None:
        why = CLOSED
        try:
            while not self._closed:
                self._news.clear()
                if not self.loop.turn() and not self._closed:
                    due = self.loop.scheduler.due
                    wait = None if due is None else max(0.0, due - self.loop.clock())
                    self._news.wait(wait)
        except BaseException as fault:  # of the loop itself: nobody may be left waiting
            self._fault, why = fault, f"the engine broke down: {fault!r}"
        finally:
            self._closed = True
            self.loop.abandon(why)
