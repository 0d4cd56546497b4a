"""Server-sent events, read from bytes however they are cut. Source: WHATWG HTML, section 9.2.

Lines end in LF, CR or CRLF, also where a piece of the stream ends between those two; what is not
UTF-8 is replaced; an event is given out at its empty line, and one that has none by the end of the
stream is none. Comments and fields that nobody needs here are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from studiolo.errors import UpstreamError

LARGEST = 16 << 20
"""Bytes of an event; more are never waited for."""
_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ServerEvent:
    """One event; ``name``: its type, empty if it has none."""

    name: str
    data: str


class EventReader:
    """Takes pieces of a stream, gives events."""

    def __init__(self) -> None:
        self._line: list[bytes] = []  # the pieces of a line that has not ended
        self._name = ""
        self._data: list[str] = []
        self._pending = self._held = 0  # bytes of that line, and of the lines before it
        self._begun = self._after_cr = False

    def push(self, piece: bytes) -> list[ServerEvent]:
        """The events that ``piece`` completes. Raises :class:`UpstreamError` at an endless one."""
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        *ended, rest = _END.split(piece)
        found = []
        for end in ended:
            line = b"".join((*self._line, end))
            self._line.clear()
            self._pending = 0
            if (event := self._read(line)) is not None:
                found.append(event)
        if rest:
            self._line.append(rest)
            self._pending += len(rest)
        if self._pending + self._held > LARGEST:
            raise UpstreamError(f"an event of more than {LARGEST:,} bytes was sent")
        return found

    def _read(self, line: bytes) -> ServerEvent | None:
        """What a line completes."""
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            name, data = self._name, self._data
            self._name, self._data, self._held = "", [], 0
            return ServerEvent(name, "\n".join(data)) if data else None
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
            self._held += len(line)
        return None
