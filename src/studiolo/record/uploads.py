"""Files that clients upload, or that are made for them: OpenAI's ``file-…``.

What a file is stands in the database, its bytes in ``files/`` of Studiolo's home. They are written
first and removed last, so that a file that is known has its bytes; what a kill leaves without a
row is swept away. Replicas on several machines need a home that they share.

The caller bounds sizes. The key that made a file, and an administrator, can see it; to others it
is not there. An id is checked before it becomes a path.
"""

from __future__ import annotations

import errno
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, or_, select

from studiolo.bundle.store import home
from studiolo.errors import InvalidRequestError, NoSpaceError
from studiolo.record.database import Database
from studiolo.record.fault import RecordsError
from studiolo.record.journal import replace_file
from studiolo.record.paging import page, visible
from studiolo.record.tables import files, printable

ORPHANED = 3600
"""Seconds after which bytes without a row are rubbish: until then their row may yet come."""
_ID = re.compile(r"file-[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Upload:
    """One file. ``bytes``: its size; ``created`` and ``expires``: Unix seconds."""

    id: str
    key: str | None
    filename: str
    purpose: str
    bytes: int
    created: float
    expires: float | None = None


class Uploads:
    """The files in ``database``, their bytes in ``folder``: ``files`` in the home, if None."""

    def __init__(self, database: Database, folder: Path | None = None) -> None:
        self._database = database
        self.folder = home() / "files" if folder is None else folder

    def put(
        self,
        data: bytes,
        *,
        filename: str,
        purpose: str,
        key: str | None,
        expires: float | None = None,
        id: str | None = None,
    ) -> Upload:
        """Keep a file; when this returns it is safe.

        ``id``: for one that is made, so that whoever is killed and makes it again makes no second
        one; else an id is drawn. Raises :class:`InvalidRequestError` for an id that is none,
        :class:`NoSpaceError`, and :class:`RecordsError`.
        """
        upload = Upload(
            id=f"file-{secrets.token_hex(12)}" if id is None else id,
            key=key,
            filename=printable(filename, 255),
            purpose=printable(purpose, 64),
            bytes=len(data),
            created=time.time(),
            expires=expires,
        )
        path = self._path(upload.id)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(path, data)
        except OSError as error:
            raise _unwritten(path, error) from None
        with self._database.begin() as connection:
            connection.execute(self._database.upsert(files), vars(upload))
        return upload

    def find(self, id: str, key: str | None, *, admin: bool = False) -> Upload | None:
        """The file, if it is there, is not past its time, and is of ``key`` or for ``admin``."""
        with self._database.read() as connection:
            mine = visible(files, key, admin)
            row = connection.execute(select(files).where(files.c.id == id, mine)).one_or_none()
        if row is None or (row.expires is not None and row.expires <= time.time()):
            return None
        return Upload(**row._asdict())

    def list(
        self,
        key: str | None,
        *,
        purpose: str | None = None,
        after: str | None = None,
        limit: int = 100,
        admin: bool = False,
    ) -> tuple[Upload, ...]:
        """The files of ``key``, or everybody's for ``admin``, the newest first.

        ``after``: the id of a file, for those that come after it: the next page.
        """
        alive = or_(files.c.expires.is_(None), files.c.expires > time.time())
        query = select(files).where(visible(files, key, admin), alive)
        if purpose is not None:
            query = query.where(files.c.purpose == purpose)
        with self._database.read() as connection:
            rows = page(connection, query, files.c.created, after, limit)
        return tuple(Upload(**row._asdict()) for row in rows)

    def path(self, upload: Upload) -> Path:
        """Where its bytes are. Raises :class:`RecordsError` if they are not on this machine."""
        path = self._path(upload.id)
        if not path.is_file():
            raise RecordsError(
                f"the bytes of {upload.id} are not in {self.folder}",
                remedy="Give every machine that uses these records the same STUDIOLO_HOME.",
            )
        return path

    def delete(self, id: str, key: str | None, *, admin: bool = False) -> bool:
        """Delete a file, if :meth:`find` would find it; says whether there was one."""
        if self.find(id, key, admin=admin) is None:
            return False
        with self._database.begin() as connection:
            connection.execute(delete(files).where(files.c.id == id))
        self._path(id).unlink(missing_ok=True)
        return True

    def sweep(self, now: float) -> int:
        """Delete what is past its time at ``now``, and bytes without a row; says how many."""
        with self._database.begin() as connection:
            connection.execute(delete(files).where(files.c.expires <= now))
        swept = 0
        for path in self.folder.glob("file-*"):
            if now - path.stat().st_mtime > ORPHANED and not self._known(path.name):
                path.unlink(missing_ok=True)
                swept += 1
        return swept

    def _known(self, id: str) -> bool:
        with self._database.read() as connection:
            return connection.scalar(select(files.c.id).where(files.c.id == id)) is not None

    def _path(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise InvalidRequestError("file", f"{id!r:.60} is no id of a file")
        return self.folder / id


def _unwritten(path: Path, error: OSError) -> NoSpaceError | RecordsError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceError(f"there is no room for {path}")
    return RecordsError(f"{path} cannot be written: {error.strerror}")
