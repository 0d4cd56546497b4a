"""Token shards: a flat file of ids that training maps, and where in it documents begin.

``train.bin`` holds little-endian uint16 or uint32 ids, one document after the other, each followed
by the tokenizer's end token; ``train.idx`` holds the place of each document's first token as
little-endian int64. Notable choice: one growing file for each part and not many of a fixed size,
since it is mapped, never read whole, and one map needs no bookkeeping of edges. Both are hashed
as they are written. Deliberately unknown here: text.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from studiolo.bundle.manifest import FilePin
from studiolo.errors import MalformedFileError
from studiolo.training.corpus.manifest import CorpusManifest

TRAINING, VALIDATION = "train", "validation"


class HashedFile:
    """A file that knows its digest while it is written."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, 0
        self._file, self._hash = path.open("wb"), hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def close(self) -> FilePin:
        """Force it to disk; its size and digest."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self.abandon()
        return FilePin(size=self.size, sha256=self._hash.hexdigest())

    def abandon(self) -> None:
        """Give it back, in whatever state it is."""
        with contextlib.suppress(OSError):  # what a full disk did not take is lost anyhow
            self._file.close()


class ShardWriter:
    """Writes one part; it has ``tokens`` so far."""

    def __init__(self, folder: Path, part: str, dtype: Literal["uint16", "uint32"]) -> None:
        self.tokens = 0
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._ids = HashedFile(folder / f"{part}.bin")
        self._starts = HashedFile(folder / f"{part}.idx")

    def add(self, ids: Sequence[int]) -> None:
        """Append a document; one without ids is none."""
        if not ids:
            return
        self._starts.write(self.tokens.to_bytes(8, "little"))
        self._ids.write(np.asarray(ids, self._dtype).tobytes())
        self.tokens += len(ids)

    def close(self) -> dict[str, FilePin]:
        """Force both files to disk; their sizes and digests by name."""
        return {each.path.name: each.close() for each in (self._ids, self._starts)}

    def abandon(self) -> None:
        """Give both files back, in whatever state they are."""
        self._ids.abandon()
        self._starts.abandon()


@dataclass(frozen=True)
class Shard:
    """``ids``: ``[N]``; ``starts``: int64 ``[D]``, ascending from 0. Both are maps of files."""

    ids: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]


def map_shard(folder: Path, part: str, manifest: CorpusManifest) -> Shard:
    """The part of that corpus, mapped; nothing is read but the edges.

    Raises :class:`MalformedFileError` if files and manifest contradict each other.
    """
    ids = _mapped(folder / f"{part}.bin", np.dtype(manifest.dtype).newbyteorder("<"))
    starts = _mapped(folder / f"{part}.idx", np.dtype("<i8"))
    said = manifest.training if part == TRAINING else manifest.validation
    if len(ids) != said.tokens or len(starts) != said.documents:
        raise MalformedFileError(
            f"{folder / part}.bin: has {len(ids):,} tokens of {len(starts):,} documents, and the "
            f"manifest says {said.tokens:,} of {said.documents:,}",
            remedy="Build the corpus again.",
        )
    if len(starts) and (starts[0] != 0 or starts[-1] >= len(ids)):
        raise MalformedFileError(f"{folder / part}.idx: is damaged", remedy="Build it again.")
    return Shard(ids, starts)


def _mapped(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    if path.stat().st_size == 0:  # nothing cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r")
