"""How a house waits: for room, and beside the event loop for work that takes long.

Does not know models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from studiolo.errors import BusyError
from studiolo.sampler.constraint import KINDS
from studiolo.task.asking import TextAsk

T = TypeVar("T")
PATIENCE = 0.02
"""Seconds until what found no room is tried again."""
LONG = 50_000
"""Characters from which a prompt is prepared beside the event loop, which others need."""


def takes_long(ask: TextAsk) -> bool:
    """Whether to prepare an ask may be more than a moment's work: a long text, a constraint, an
    adapter.
    """
    length = len(ask.prompt or "") + len(ask.suffix or "")
    for message in ask.messages or ():
        length += len(str(message.get("content", "")))
    given = any(ask.options.get(kind) is not None for kind in ("adapter", *KINDS))
    return length >= LONG or given or bool(ask.tools)


async def beside(long: bool, work: Callable[[], T]) -> T:
    """What ``work`` gives; in another thread if it takes long."""
    return await asyncio.to_thread(work) if long else work()


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """As ``work``, as soon as there is room."""
    while True:
        try:
            return await work()
        except BusyError:
            await asyncio.sleep(PATIENCE)
