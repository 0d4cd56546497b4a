"""The folders that batches are worked on in, and which of them nobody works on any more.

A worker holds the lock of a batch's folder for as long as it works there, and the system takes it
back from a process that is killed. So a server that starts anew on the same home need not wait for
the dead one's lease to run out: it finds the folder unlocked, reads there who had it, and gives the
batch back in that name. Others' leases it cannot touch, since the names of workers are never used
twice.

A folder: ``input.jsonl``, ``results.jsonl`` with what :mod:`studiolo.task.batch` puts beside it,
``worker`` with a name, and ``lock``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from studiolo.bundle.store import home
from studiolo.errors import BusyError
from studiolo.record.batches import OPEN, Batches
from studiolo.record.journal import replace_file

INPUT, RESULTS = "input.jsonl", "results.jsonl"


class Claims:
    """The folders in ``path``: ``batches`` in the home, if None."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = home() / "batches" if path is None else path

    @contextmanager
    def hold(self, id: str, worker: str) -> Iterator[Path]:
        """The folder of the batch ``id``, which is ``worker``'s alone until the end.

        Raises :class:`BusyError` while another process of this home has it.
        """
        folder = self.path / id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder):
            replace_file(folder / "worker", worker.encode())
            yield folder

    def release(self, batches: Batches) -> None:
        """Give back what dead workers of this home had, and remove what nobody needs."""
        if not self.path.is_dir():
            return
        for folder in sorted(self.path.iterdir()):
            batch = batches.find(folder.name, None, admin=True)
            if batch is None:  # of other records, perhaps
                continue
            try:
                with _locked(folder):
                    if (folder / "worker").is_file():
                        batches.leave(batch.id, (folder / "worker").read_text())
                        (folder / "worker").unlink()
                    if batch.status not in OPEN:
                        clear(folder)
            except (BusyError, OSError):
                continue


def take_in(source: Path, folder: Path) -> Path:
    """Have the input in the folder, so that it stays when its owner deletes it."""
    path = folder / INPUT
    if not path.exists():
        draft = folder / "input.part"
        draft.unlink(missing_ok=True)
        try:
            os.link(source, draft)
        except OSError:  # another disk, or one that knows no links
            shutil.copyfile(source, draft)
        draft.replace(path)
    return path


def clear(folder: Path) -> None:
    """Remove a folder, which its lock outlives."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"another process works in {folder}") from None
    try:
        yield
    finally:
        lock.release()
