"""What goes on inside: which models are open, what they hold, and who waits for them.

Looks and changes nothing, so that whoever watches is not noticed. Knows no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass

from studiolo.task.house import House


@dataclass(frozen=True)
class Prefixes:
    """What a model remembers of how prompts began: ``bytes`` of ``limit``, ``pasts`` of them.

    ``saved``: tokens that did not have to be read again since the model was opened.
    """

    limit: int
    bytes: int
    pasts: int
    saved: int


@dataclass(frozen=True)
class Inside:
    """A model that is open, or on the way to be.

    ``bytes``: that it takes; ``live``, ``waiting``: requests under way and in line; ``seconds`` of
    machine time that it has had, as the scheduler counts them.
    """

    name: str
    is_open: bool
    bytes: int
    live: int = 0
    waiting: int = 0
    seconds: float = 0.0
    prefixes: Prefixes | None = None


def look(house: House) -> list[Inside]:
    """The models of ``house``, the least recently used first."""
    models = house.engine.models
    opened, found = models.opened, []
    for name, size in models.loaded.items():
        if (loaded := opened.get(name)) is None:
            found.append(Inside(name, False, size))
            continue
        lane, cache = loaded.lane, getattr(loaded.model, "prefix", None)
        found.append(
            Inside(
                name,
                True,
                size,
                len(lane.live),
                len(lane.queue),
                lane.spent,
                None
                if cache is None
                else Prefixes(cache.limit, cache.nbytes, len(cache), cache.saved),
            )
        )
    return found
