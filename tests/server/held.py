"""A request that is kept under way for as long as a test likes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from studiolo.family.autoregressive import TokenRequest
from studiolo.sampler.settings import Decoding
from studiolo.task.house import House


@contextmanager
def held(house: House, name: str = "tiny", *, waiting: int = 0) -> Iterator[None]:
    """One sample of ``name`` is under way, and ``waiting`` more have come; the engine stands."""
    gate, begun = threading.Event(), threading.Event()

    def stand(_: object) -> None:
        begun.set()
        gate.wait()

    house.load(name)
    request = TokenRequest(prompt=(10, 11), max_tokens=2, decoding=Decoding(), stop_ids=frozenset())
    tickets = [house.engine.submit(name, request, watch=stand)]
    begun.wait()
    tickets += [house.engine.submit(name, request) for _ in range(waiting)]
    try:
        yield
    finally:
        gate.set()
        for ticket in tickets:
            ticket.result(timeout=60)
