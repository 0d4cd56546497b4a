"""The log of receipts: lines that can be added to, and not changed unseen.

Two files in ``log/`` of Studiolo's home: ``entries.jsonl``, to which lines are appended, and
``head``, what is signed of the newest. A head that is older than the log is no fault, since a
writer may be killed between the two; a log that is older than its head has lost something.

Notable choices. *An entry is safe when* :meth:`Log.append` *returns*, and the head tells of it.
*Any number of threads and processes of one home may append*: one of them holds a lock, and writes
for all the threads that wait beside it, so that a crowd costs as many forced writes as one. *The
head is written over itself, within one sector, and not forced to the disk*: a power cut leaves the
new one or an older one, and the time of one forced write is saved.
*Nothing is added to a log that is damaged at its end or has been cut*: another entry would cover
it up. What lies further back only :mod:`.verification` looks at.

Who writes one log shares one key; several machines have a home, and a log, each.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from filelock import FileLock

from studiolo.bundle.store import home
from studiolo.errors import MalformedFileError, NoSpaceError, RecordsError, StudioloError
from studiolo.record.entry import MAX_LINE, Entry, Head
from studiolo.record.fingerprint import of_texts
from studiolo.record.journal import Journal, replace_file
from studiolo.record.signing import SigningKey

if TYPE_CHECKING:
    from studiolo.record.receipt import Receipt

ENTRIES = "entries.jsonl"
HEAD = "head"
SECTOR = 512
_REMEDY = (
    "`studiolo verify` says what is wrong. To begin a new log, move this folder away; it can be "
    "verified there with --log."
)


def log_directory() -> Path:
    """Where the log of this home is."""
    return home() / "log"


@dataclass
class _Waiting:
    """An entry that is to be written, and what has become of it."""

    receipt: str
    outputs: tuple[str, ...]
    entry: Entry | None = None
    error: Exception | None = field(default=None)


class Log:
    """The log of this installation. Keep one for as long as entries come, then close it."""

    def __init__(self, directory: Path | None = None) -> None:
        """Nothing is opened or made before the first entry comes."""
        self.directory = log_directory() if directory is None else directory
        self._entries, self._head = self.directory / ENTRIES, self.directory / HEAD
        self._waiting: list[_Waiting] = []
        self._door, self._turn = threading.Lock(), threading.Lock()
        self._journal: Journal | None = None
        self._sector: BinaryIO | None = None
        self._key: SigningKey | None = None
        self._newest: Entry | None = None
        self._size = -1

    def note(self, receipt: Receipt, texts: Sequence[str]) -> Entry:
        """Append an entry for ``receipt``, which tells of ``texts``. Raises as :meth:`append`."""
        fingerprint = of_texts()
        return self.append(receipt.digest, [fingerprint(text) for text in texts])

    def append(self, receipt: str, outputs: Sequence[str] = ()) -> Entry:
        """Append an entry; when this returns, it is safe.

        ``receipt``: SHA-256 of one, hexadecimal. ``outputs``: fingerprints of what it tells of.
        Raises :class:`MalformedFileError` for a log that is damaged at its end or was cut,
        :class:`NoSpaceError`, and :class:`RecordsError` if the log or the key can be neither read
        nor written.
        """
        mine = _Waiting(receipt, tuple(outputs))
        with self._door:
            self._waiting.append(mine)
        with self._turn:
            if mine.entry is None and mine.error is None:
                self._write_all()
        if mine.entry is None:
            assert mine.error is not None
            raise mine.error
        return mine.entry

    def close(self) -> None:
        """Give the file back; the log may be used again."""
        with self._turn:
            self._shut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _shut(self) -> None:
        for file in (self._journal, self._sector):
            if file is not None:
                with suppress(OSError):  # of a full disk, which has been told of already
                    file.close()
        self._journal, self._sector, self._size = None, None, -1

    def _write_all(self) -> None:
        """Write an entry for each that waits."""
        with self._door:
            waiting, self._waiting = self._waiting, []
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with FileLock(self.directory / "lock"):
                self._write(waiting)
        except OSError as error:
            self._fail(waiting, _told(error, self.directory))
        except Exception as error:
            self._fail(waiting, error)
        except BaseException:
            # Ctrl-C reaches one thread; those it was writing for must not wait for ever.
            self._fail(waiting, RecordsError("the log was interrupted while it was written"))
            raise

    def _write(self, waiting: Sequence[_Waiting]) -> None:
        if self._key is None:
            self._key = SigningKey.installed(make=not self._entries.exists())
        if not self._entries.exists() or self._entries.stat().st_size != self._size:
            self._open(self._key)
        assert self._journal is not None
        newest, entries = self._newest, []
        for each in waiting:
            newest = Entry.signed(
                self._key, after=newest, receipt=each.receipt, outputs=each.outputs
            )
            entries.append(newest)
        assert newest is not None
        self._journal.append([entry.to_line() for entry in entries])
        self._put(newest.head)
        self._newest, self._size = newest, self._entries.stat().st_size
        for each, entry in zip(waiting, entries, strict=True):
            each.entry = entry

    def _open(self, key: SigningKey) -> None:
        """Find the end of a log to which others may have added, or begin one."""
        self._shut()
        fresh = None
        if not self._entries.exists() and not self._head.exists():
            # The head first: so a log without one has been tampered with, whenever it is found.
            fresh = Entry.signed(key, after=None)
            replace_file(self._head, _padded(fresh.head))
        head = read_head(self._head)
        if head is None or not head.signed_by(key.public):
            raise _damaged(f"{self._head} is missing, or is not of this installation's key")
        self._sector = self._head.open("r+b", buffering=0)
        self._journal = Journal(self._entries)
        line = _last_line(self._entries)
        if line is None and head.number == 0:
            # Whoever began it may have been killed in between.
            fresh = fresh or Entry.signed(key, after=None)
            self._journal.append([fresh.to_line()])
            self._put(fresh.head)
            self._newest = fresh
            return
        if line is None:
            raise _damaged(f"{self._entries} is empty, and had {head.number:,} entries")
        newest = Entry.parse(line, f"the last line of {self._entries}")
        if not newest.head.signed_by(key.public):
            raise _damaged(f"the last line of {self._entries} is not of this installation's key")
        if newest.number < head.number or (newest.number == head.number and newest.head != head):
            raise _damaged(
                f"{self._entries} ends with entry {newest.number:,}, and entry {head.number:,} "
                "has been written"
            )
        self._newest = newest

    def _put(self, head: Head) -> None:
        """Write the head over the one before it."""
        assert self._sector is not None
        self._sector.seek(0)
        self._sector.write(_padded(head))  # unbuffered: one call of the system

    def _fail(self, waiting: Sequence[_Waiting], error: Exception) -> None:
        self._shut()
        for each in waiting:
            if each.entry is None:
                each.error = error


def read_head(path: Path) -> Head | None:
    """The newest head that is known to have been written, or None if there is no file.

    Raises :class:`MalformedFileError` if the file holds anything else, and :class:`RecordsError`
    if it cannot be read. The signature is not checked.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LINE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordsError(f"{path} cannot be read: {error.strerror}") from None
    head = Head.parse(data, str(path))
    if data != _padded(head):
        raise MalformedFileError(f"{path} is not spelled as a head is")
    return head


def _padded(head: Head) -> bytes:
    """A sector, which a disk writes whole or not at all."""
    return head.to_bytes()[:-1].ljust(SECTOR - 1) + b"\n"


def _last_line(path: Path) -> bytes | None:
    """Without its end; None of an empty file. Of a longer line than an entry can be, a part."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return None
        file.seek(max(0, size - MAX_LINE))
        return file.read().removesuffix(b"\n").rsplit(b"\n", 1)[-1]


def _told(error: OSError, where: Path) -> StudioloError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceError(f"there is no room for the log in {where}")
    return RecordsError(f"{where} cannot be written: {error.strerror or error}")


def _damaged(what: str) -> MalformedFileError:
    return MalformedFileError(f"the log is damaged: {what}", remedy=_REMEDY)
