"""Where files land while they are being fetched: partial, hashed, bounded, resumable.

A source is given a :class:`Landing`, asks it what is still missing, and writes the
bytes it gets into a :class:`PartialFile`. Everything that must hold for every source
is here and nowhere else: a file never grows past its pinned size, is complete only
when its checksum is right, keeps its ``.part`` across an interruption, and a full
disk is an error of its own.

Progress is told in small typed events to one callback, so that the terminal, a
server and a notebook can each show it in their way.

Deliberately unknown here: where bytes come from (``sources``), and what becomes of
the finished folder (``pull``).
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from studiolo.bundle.catalogue import Wanted
from studiolo.bundle.manifest import FilePin, hash_file
from studiolo.errors import ChecksumError, NoSpaceError, SourceError

CHUNK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Note:
    """One line that the user should see: a source was passed over, a wait, a resumption."""

    text: str


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` bytes of the model are here; ``total`` is None when unknown."""

    name: str
    done: int
    total: int | None


PullEvent = Note | Progress
Report = Callable[[PullEvent], None]


def no_space(path: Path, error: OSError) -> NoReturn:
    """Turn a full disk or quota into :class:`NoSpaceError`; raise anything else again."""
    if error.errno in FULL:
        raise NoSpaceError(
            f"the disk that holds {path} is full",
            remedy="What has arrived is kept: make room and give the same command again.",
        ) from None
    raise error


class Landing:
    """The folder of one pull, and the account of what is in it."""

    def __init__(
        self, name: str, directory: Path, files: Iterable[Wanted], report: Report | None = None
    ) -> None:
        self.name, self.directory, self.files = name, directory, tuple(files)
        self._report = report
        self._landed: dict[str, FilePin] = {}
        self._told = 0
        sizes = [file.size for file in self.files]
        self.total = None if None in sizes else sum(size or 0 for size in sizes)
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def landed(self) -> dict[str, FilePin]:
        """The files that are here and right, by name."""
        return dict(self._landed)

    def missing(self) -> list[Wanted]:
        """The files still to be fetched; one left complete by an earlier pull is checked anew."""
        for file in self.files:
            path = self.directory / file.name
            if file.name in self._landed or not path.is_file():
                continue
            pin = hash_file(path) if file.sha256 is not None else None
            if pin is not None and (pin.sha256, pin.size) == (file.sha256, file.size or pin.size):
                self._landed[file.name] = pin
            else:
                path.unlink()
        return [file for file in self.files if file.name not in self._landed]

    def partial(self, file: Wanted) -> PartialFile:
        """Open ``file`` for writing, where an earlier pull left off."""
        return PartialFile(self, file)

    def arrive(self, file: Wanted, pin: FilePin) -> None:
        """Count ``file`` as complete."""
        self._landed[file.name] = pin
        self.advance(0)

    def advance(self, pending: int) -> None:
        """Tell how far the pull is, with ``pending`` bytes of a file that is under way."""
        if self._report is not None:
            done = sum(pin.size for pin in self._landed.values()) + pending
            # An archive's bytes only estimate what comes out of it: never tell a step back.
            self._told = max(self._told, min(done, self.total or done))
            self._report(Progress(self.name, self._told, self.total))

    def regress(self) -> None:
        """Bytes that were told of have turned out to be worth nothing."""
        self._told = 0

    def note(self, text: str) -> None:
        """Show the user one line."""
        if self._report is not None:
            self._report(Note(text))


class PartialFile(AbstractContextManager["PartialFile"]):
    """``NAME.part``: written in order, hashed as it grows, renamed when it is right."""

    def __init__(self, landing: Landing, file: Wanted) -> None:
        self._landing, self.file = landing, file
        self._final = landing.directory / file.name
        self.path = self._final.with_name(self._final.name + ".part")
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._handle = open(self.path, "r+b" if self.path.exists() else "w+b")  # noqa: SIM115
        self.size = 0
        self._hash = hashlib.sha256()
        here = os.fstat(self._handle.fileno()).st_size
        self.keep(here if file.size is None or here <= file.size else 0)

    def keep(self, size: int) -> None:
        """Cut the file down to its first ``size`` bytes, and hash those."""
        self._handle.truncate(size)
        self._handle.seek(0)
        self._hash = hashlib.sha256()
        self.size = 0
        while chunk := self._handle.read(CHUNK):
            self._hash.update(chunk)
            self.size += len(chunk)

    def write(self, chunk: bytes) -> None:
        """Append ``chunk``; raises :class:`ChecksumError` past the pinned size."""
        limit = self.file.size
        if limit is not None and self.size + len(chunk) > limit:
            self.discard()
            raise ChecksumError(
                f"{self.file.name} is longer than the {limit:,} bytes that it should have"
            )
        try:
            self._handle.write(chunk)
        except OSError as error:
            no_space(self.path, error)
        self._hash.update(chunk)
        self.size += len(chunk)
        self._landing.advance(self.size)

    def finish(self) -> None:
        """Check the whole, make it durable, give it its name.

        Raises :class:`SourceError` when bytes are wanting (the part is kept) and
        :class:`ChecksumError` when they are wrong (nothing is kept).
        """
        wanted, digest = self.file, self._hash.hexdigest()
        if wanted.size is not None and self.size < wanted.size:
            raise SourceError(
                f"{wanted.name} ended after {self.size:,} of {wanted.size:,} bytes",
            )
        if wanted.sha256 is not None and digest != wanted.sha256:
            self.discard()
            raise ChecksumError(
                f"{wanted.name} has SHA-256 {digest[:16]}…, but {wanted.sha256[:16]}… is pinned"
            )
        try:
            self._handle.flush()
            os.fsync(self._handle.fileno())
        except OSError as error:
            no_space(self.path, error)
        self._handle.close()
        self.path.replace(self._final)
        self._landing.arrive(wanted, FilePin(sha256=digest, size=self.size))

    def discard(self) -> None:
        """Drop every byte: they are not the ones wanted."""
        self.keep(0)
        self._landing.regress()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._handle.close()
        except OSError as failure:
            if error is None:
                no_space(self.path, failure)


def copy_into(partial: PartialFile, read: Callable[[int], bytes]) -> None:
    """Append everything that ``read(n)`` yields."""
    while chunk := read(CHUNK):
        partial.write(chunk)
