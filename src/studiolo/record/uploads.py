"""Files that clients upload, or that are made for them: OpenAI's ``file-…``.

What a file is stands in the database, its bytes in ``files/`` of Studiolo's home. *The row is there
before the bytes and until after them*, its time being over from the beginning while they are
written, and again while they are removed. So a file that is found has its bytes, whatever a kill
leaves behind has a row that is swept, and nothing else in the folder is ever touched: several
databases may share it. Replicas on several machines need a home that they share.

The caller bounds how large a file may be. The key that made a file, and an administrator, can see
it; to others it is not there. An id is checked before it becomes a path.
"""

from __future__ import annotations

import errno
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, func, or_, select, update

from studiolo.bundle.store import home
from studiolo.errors import InvalidRequestError, NoSpaceError, RecordsError
from studiolo.record.database import Database
from studiolo.record.journal import draft_of, replace_file
from studiolo.record.paging import page, visible
from studiolo.record.tables import files, keys, printable

GRACE = 3600
"""Seconds by which a row outlives its time: the bytes of a new file are written within them."""
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
        limit: int | None = None,
    ) -> Upload:
        """Keep a file; when this returns it is safe.

        ``id``: for one that is made, so that whoever is killed and makes it again makes no second
        one; else an id is drawn. ``limit``: bytes that all files of ``key`` together may have.
        Raises :class:`InvalidRequestError` for an id that is none and for more than ``limit``,
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
        path, hidden = self._path(upload.id), {**vars(upload), "expires": upload.created}
        with self._database.begin() as connection:
            if limit is not None:
                _check_room(connection, upload, limit)
            connection.execute(self._database.upsert(files), hidden)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(path, data)
        except OSError as error:
            self._remove(upload.id)
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
            connection.execute(update(files).where(files.c.id == id).values(expires=time.time()))
        self._remove(id)
        return True

    def sweep(self, now: float) -> int:
        """Remove what was past its time for :data:`GRACE` seconds at ``now``; says how many."""
        with self._database.read() as connection:
            query = select(files.c.id).where(files.c.expires <= now - GRACE)
            over = connection.scalars(query).all()
        for id in over:
            self._remove(id)
        return len(over)

    def _remove(self, id: str) -> None:
        """The bytes, and then the row."""
        path = self._path(id)
        for each in (path, draft_of(path)):
            with suppress(NotADirectoryError):  # then there is nothing either
                each.unlink(missing_ok=True)
        with self._database.begin() as connection:
            connection.execute(delete(files).where(files.c.id == id))

    def _path(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise InvalidRequestError("file", f"{id!r:.60} is no id of a file")
        return self.folder / id


def _check_room(connection: Connection, upload: Upload, limit: int) -> None:
    """Raise :class:`InvalidRequestError` if the key's files would have more than ``limit`` bytes.

    Of two uploads of a key the second sees the first: SQLite lets one write at a time, and
    PostgreSQL one that has locked the key's row.
    """
    if upload.key is not None:
        connection.execute(select(keys.c.id).where(keys.c.id == upload.key).with_for_update())
    mine = visible(files, upload.key, admin=False)
    there = int(connection.scalar(select(func.sum(files.c.bytes)).where(mine)) or 0)
    if there + upload.bytes > limit:
        raise InvalidRequestError(
            "file",
            f"has {upload.bytes:,} bytes; with {there:,} that are there, the files of one key "
            f"would have more than the {limit:,} bytes that they may",
            remedy="Delete some that are not needed any more, results of batches among them.",
        )


def _unwritten(path: Path, error: OSError) -> NoSpaceError | RecordsError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceError(f"there is no room for {path}")
    return RecordsError(f"{path} cannot be written: {error.strerror}")
