"""How a server is opened: plain values, from which one here and a replica elsewhere are the same.

The operator's files (``remotes.toml``, ``prices.toml``) are read when the values are made, so that
a mistake in one is told at once; keys of models elsewhere, and whether to trace, are taken from the
environment of the process that opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from studiolo.bundle.store import home
from studiolo.nn.tape import Cached
from studiolo.record.records import Records
from studiolo.record.secret import watermark
from studiolo.runtime.scheduler import Pace
from studiolo.server import prices, tracing
from studiolo.server.settings import Settings
from studiolo.server.studio import Studio
from studiolo.task.house import House
from studiolo.task.remote import settings as remote_settings
from studiolo.task.remote.models import open_remotes
from studiolo.task.remote.settings import Remote

WAITING = 256
"""Requests to one model that may wait for their turn; longer lines help nobody."""


@dataclass(frozen=True)
class Opening:
    """``models``: to be loaded at once; ``memory``: bytes that all of it may take.

    ``remotes``: models elsewhere, by name. ``kv_cache``: what keys and values are kept as.
    """

    settings: Settings
    models: tuple[str, ...]
    memory: int
    device: str = "auto"
    remotes: Mapping[str, Remote] = field(default_factory=dict)
    kv_cache: Cached = "float32"

    @classmethod
    def read(
        cls,
        settings: Settings,
        models: tuple[str, ...],
        memory: int,
        *,
        device: str = "auto",
        remotes: Path | None = None,
        priced: Path | None = None,
        kv_cache: Cached = "float32",
    ) -> Opening:
        """With the files at ``remotes`` and ``priced``, or those in Studiolo's home if any.

        Raises :class:`MalformedFileError`.
        """
        found = _own(remotes, remote_settings.FILE)
        elsewhere = {} if found is None else remote_settings.read_remotes(found)
        found = _own(priced, prices.FILE)
        own = {} if found is None else prices.read_prices(found)
        settings = replace(settings, prices=prices.prices_of(own, elsewhere))
        return cls(settings, models, memory, device, elsewhere, kv_cache)

    @property
    def here(self) -> tuple[str, ...]:
        """Those of ``models`` that must be on this machine."""
        return tuple(name for name in self.models if name not in self.remotes)

    def open(self, kept: Records, ending: ExitStack) -> Studio:
        """The studio, its models loaded; what is to be closed is given to ``ending``.

        Raises what :meth:`House.load` does, and :class:`InvalidRequestError` for the key of a
        model elsewhere that is not in the environment.
        """
        options: dict[str, Any] = {
            "device": self.device,
            "kv_cache": self.kv_cache,
            "model_memory": self.memory * 6 // 10,
            "request_memory": self.memory * 2 // 10,
            "prefix_memory": self.memory * 5 // 100,
            "pace": Pace(waiting=WAITING),
            "watermark": watermark() if self.settings.watermark else None,
        }
        traced = tracing.from_environment()
        if traced is None:
            house = House(elsewhere=open_remotes(self.remotes), **options)
        else:
            spans, provider = traced
            ending.callback(provider.shutdown)
            ending.callback(provider.force_flush, tracing.FLUSH)
            elsewhere = open_remotes(self.remotes, spans.headers)
            house = tracing.TracedHouse(spans, elsewhere=elsewhere, **options)
        ending.callback(house.close)
        house.admit(self.settings.encoder)
        for name in self.here:
            house.load(name)
        return Studio.of(self.settings, house, kept)


def _own(given: Path | None, name: str) -> Path | None:
    """The file that was named, or else that of Studiolo's home if there is one."""
    if given is not None:
        return given
    found = home() / name
    return found if found.is_file() else None
