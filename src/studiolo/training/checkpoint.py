"""Checkpoints that cannot be lost: one file each, written aside, forced to disk, moved into place.

``step-00000250.safetensors`` holds every tensor of a run at that step, and in the header's
metadata one JSON value with the rest; so a checkpoint is there whole or not at all, whenever the
process is killed. The newest :data:`LAST` are kept, and the best beside them. Nothing is pickled.

A run in several processes writes the same one file, of whole tensors, so that any number of
processes can go on from it: what is split is gathered tensor by tensor and written as it comes,
which costs the first process the memory of the largest and the others a wait. A file for each
process would spare that wait and cost every reader a puzzle.
Deliberately unknown here: what the tensors and values mean.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from studiolo.errors import MalformedFileError, NoSpaceError, SourceError
from studiolo.record.journal import force_directory
from studiolo.training.tensor_file import in_order, write_tensors

LAST = 2
_NAME = re.compile(r"step-(\d{8,})\.safetensors")
_PART = ".part"


@dataclass(frozen=True)
class Saved:
    """What was saved: tensors by name, on the CPU, each read when asked for, and a JSON object."""

    step: int
    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


class Checkpoints:
    """Those of one run, in one folder, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # What a killed process left half written is nobody's.
        for path in folder.glob(f"*{_PART}"):
            path.unlink(missing_ok=True)

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, in order."""
        found = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        """Where the checkpoint of ``step`` lies."""
        return self.folder / f"step-{step:08}.safetensors"

    def save(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        values: Mapping[str, Any],
        *,
        best: int,
        bodies: Iterable[Tensor] | None = None,
    ) -> None:
        """Write one; when this returns it is safe, and older ones but the ``best`` step's are gone.

        ``bodies``: what to write of ``tensors``, one by one as :func:`in_order` has them; None: as
        they are.

        Raises :class:`NoSpaceError` if the disk is full and :class:`SourceError` if it cannot be
        written; what was there before then stays.
        """
        path = self.path(step)
        part = path.with_name(path.name + _PART)
        ordered = in_order(tensors)
        metadata = {"format": "pt", "studiolo": json.dumps({"step": step, **values})}
        try:
            with part.open("wb") as file:
                write_tensors(
                    file, ordered, ordered.values() if bodies is None else bodies, metadata
                )
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            force_directory(self.folder)
        except (OSError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise unwritten(path, error) from error
        for old in self.steps():
            if old not in (*self.steps()[-LAST:], best):
                self.path(old).unlink()

    def newest(self) -> Saved | None:
        """The one of the greatest step; raises as :meth:`load`."""
        steps = self.steps()
        return self.load(steps[-1]) if steps else None

    def load(self, step: int) -> Saved:
        """The one of ``step``; raises :class:`MalformedFileError` if it is damaged."""
        path = self.path(step)
        try:
            file = cast(Any, safe_open)(path, framework="pt")
            values, tensors = json.loads(file.metadata()["studiolo"]), _Tensors(file)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise MalformedFileError(
                f"{path}: is no checkpoint: {error}",
                remedy="Delete it: the run then goes on from the one before.",
            ) from None
        return Saved(step, tensors, values)


class _Tensors(Mapping[str, Tensor]):
    """Those of an open file. It is mapped, so that it may be deleted meanwhile."""

    def __init__(self, file: Any) -> None:
        self._file, self._names = file, list(file.keys())

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        return cast(Tensor, self._file.get_tensor(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def unwritten(path: Path, error: Exception) -> NoSpaceError | SourceError:
    """That ``path`` could not be written, whichever way it was told."""
    # safetensors, which writes bundles, hides the number in its message.
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error):
        return NoSpaceError(
            f"{path}: the disk is full; the checkpoint before is intact",
            remedy="Make room, then go on with --resume.",
        )
    return SourceError(f"{path}: cannot be written: {error}")
