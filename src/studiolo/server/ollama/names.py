"""Names of models as Ollama's clients write them, and for how long they would keep one open.

Ollama's names have a tag, which is ``latest`` where none is given; models here have none.
"""

from __future__ import annotations

import re

from studiolo.bundle import store
from studiolo.errors import InvalidRequestError

TAG = ":latest"
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"[+-]?(?:0|(?:{_PART.pattern})+)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def plain(name: str) -> str:
    """The name here of what a client calls ``name``; raises :class:`InvalidRequestError`."""
    name = name.removesuffix(TAG)
    return store.installed_name(name) if name.startswith("hf:") else name


def tagged(name: str) -> str:
    """What clients call the model ``name``."""
    return f"{name}{TAG}"


def seconds(keep_alive: float | str) -> float:
    """``keep_alive`` in seconds, below 0 for ever: a number, or a duration as Go writes them.

    Raises :class:`InvalidRequestError`.
    """
    if not isinstance(keep_alive, str):
        return float(keep_alive)
    if not _DURATION.fullmatch(keep_alive):
        raise InvalidRequestError(
            "keep_alive", f"{keep_alive!r:.40} is no duration", remedy="For example 5m, 1h30m, 0."
        )
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(keep_alive))
    return -total if keep_alive.startswith("-") else total
