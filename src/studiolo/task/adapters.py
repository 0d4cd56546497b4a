"""The adapters that a model has at hand: read when they are first asked for, then kept.

What is kept is bounded in bytes; the least recently used goes first, unless a request under way
holds it still. An adapter is its files: whoever changes them has made another one.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from studiolo.bundle.adapter import CONFIG, WEIGHTS, adapter_digest, find_adapter, read_adapter
from studiolo.nn.adapter import Adaptation
from studiolo.nn.network import Network

LIMIT = 256_000_000
"""Bytes of all adapters that one model keeps; the newest is kept in any case."""
DIGESTS = 1000
Stamp = tuple[tuple[str, int, int, int], ...]


class Adapters:
    """Of one network. May be asked from several threads."""

    def __init__(self, network: Network[Any], limit: int = LIMIT) -> None:
        self._network, self._limit = network, limit
        self._kept: OrderedDict[str, tuple[Adaptation, int]] = OrderedDict()
        self._digests: OrderedDict[Stamp, str] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of those that are kept."""
        return sum(size for _, size in self._kept.values())

    def get(self, name_or_path: str | os.PathLike[str]) -> Adaptation:
        """The adapter of that name, or the one that lies there, in the network's form.

        Raises what :func:`find_adapter` and :func:`read_adapter` do.
        """
        path = find_adapter(name_or_path)
        with self._lock:
            digest = self._digest(path)
            if digest not in self._kept:
                adapter = read_adapter(path, self._network.config)
                self._kept[adapter.digest] = self._network.adapt(adapter), adapter.nbytes
                digest = adapter.digest
            self._kept.move_to_end(digest)
            while self.nbytes > self._limit and len(self._kept) > 1:
                self._kept.popitem(last=False)
            return self._kept[digest][0]

    def _digest(self, path: Path) -> str:
        """Of the files, which are hashed once, and again when they have been written to."""
        stamp: Stamp = ()
        for file in (path / CONFIG, path / WEIGHTS):
            try:
                seen = file.stat()
            except OSError:
                return adapter_digest(path)  # which says what is wrong
            stamp += ((str(file), seen.st_ino, seen.st_mtime_ns, seen.st_size),)
        if stamp not in self._digests:
            self._digests[stamp] = adapter_digest(path)
            if len(self._digests) > DIGESTS:
                self._digests.popitem(last=False)
        return self._digests[stamp]
