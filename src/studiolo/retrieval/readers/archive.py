"""Office files are ZIP archives; this looks at one before anything in it is unpacked.

A file of 40 kB can unpack to gigabytes. What the archive's own directory promises is summed first,
and Python's :mod:`zipfile` never gives more of a member than the directory promised. Parts of XML
that declare a document type are refused: no office program writes any, and entities that expand
to each other are the other way to make much of little.
"""

from __future__ import annotations

import io
import zipfile

from studiolo.errors import MalformedFileError

MAX_UNPACKED = 1 << 28
"""Bytes that all members may be together."""
MAX_RATIO = 200
"""Bytes unpacked for a byte packed; text reaches about 20."""
MAX_MEMBERS = 20_000


def checked_archive(data: bytes, holding: str) -> io.BytesIO:
    """The archive as a file, if it is harmless and has the member ``holding``."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            unpacked = sum(each.file_size for each in members)
            if len(members) > MAX_MEMBERS:
                raise MalformedFileError(f"has {len(members):,} parts, more than {MAX_MEMBERS:,}")
            if unpacked > MAX_UNPACKED:
                raise MalformedFileError(
                    f"unpacks to {unpacked:,} bytes, more than {MAX_UNPACKED:,}"
                )
            if unpacked > 1 << 20 and unpacked > MAX_RATIO * len(data):
                raise MalformedFileError(
                    f"{len(data):,} bytes unpack to {unpacked:,}, more than {MAX_RATIO} times as "
                    "many: it looks like a bomb"
                )
            if holding not in archive.namelist():
                raise MalformedFileError(f"has no part {holding!r}: it is another kind of file")
            for each in members:
                if each.filename.endswith((".xml", ".rels")):
                    _no_document_type(archive, each)
    except MalformedFileError:
        raise
    except Exception as error:  # zipfile raises whatever the damage leads to
        raise MalformedFileError(f"is damaged: {error}") from None
    return io.BytesIO(data)


def _no_document_type(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse a part with a document type, however far down a comment has pushed it."""
    with archive.open(member) as part:
        text = part.read()
    if b"<!DOCTYPE" in text.replace(b"\0", b"").upper():
        raise MalformedFileError(f"its part {member.filename!r:.80} declares a document type")
