"""A file of lines that loses none and repeats none, whenever its writer is killed.

Lines are appended and forced to the disk before :meth:`Journal.append` returns. Killed in
between, a file ends in half a line at worst; opened again, that half is cut off. Knows bytes and
line ends; does not know what a line says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from studiolo.errors import InvalidRequestError

_STEP = 1 << 16


class Journal:
    """Open for appending; close it, or use it in a ``with``. One process at a time may."""

    def __init__(self, path: Path) -> None:
        """Open the file at ``path``, made if it is not there, and cut off half a line.

        Raises :class:`InvalidRequestError`, naming ``output``, if that cannot be done.
        """
        try:
            self._file = path.open("ab+")
        except OSError as error:
            why = f"{str(path)!r} cannot be written: {error.strerror}"
            raise InvalidRequestError("output", why) from None
        self.path = path
        self._file.truncate(self._whole())
        force_directory(path.parent)

    def lines(self) -> Iterator[bytes]:
        """Every line that is there, without its end."""
        with self.path.open("rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")

    def append(self, lines: Sequence[bytes]) -> None:
        """Add ``lines``, none of which holds a line end; when this returns, they are safe."""
        self._file.write(b"".join(line + b"\n" for line in lines))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _whole(self) -> int:
        """Bytes up to and with the last line end."""
        end = self._file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _STEP)
            self._file.seek(start)
            found = self._file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0


def replace_file(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, whole or not at all, and safe when this returns."""
    draft = draft_of(path)
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    force_directory(path.parent)


def draft_of(path: Path) -> Path:
    """Where :func:`replace_file` writes first; one that is killed leaves it there."""
    return path.with_name(f"{path.name}.part")


def force_directory(path: Path) -> None:
    """Make names that were made or changed in a folder safe, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
