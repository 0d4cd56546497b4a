"""Forms that a file is uploaded in: ``multipart/form-data``, whole in memory.

Sources: RFC 7578; RFC 2046, section 5.1. Strict: what is no form is refused, and so is one with a
field twice, which would leave it to chance which of them counts. A caller bounds the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

from studiolo.errors import InvalidRequestError

MAX_PARTS = 100
MAX_HEADERS = 8192
"""Bytes of a part's headers."""
BLANK = b"\r\n\r\n"


@dataclass(frozen=True)
class Part:
    """One field. ``filename``: as the client says, None for a field that is no file."""

    data: bytes
    filename: str | None = None

    def text(self, name: str) -> str:
        """Its text; raises :class:`InvalidRequestError`, which names the field ``name``."""
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidRequestError(name, "is not UTF-8") from None


def read_form(content_type: str, body: bytes) -> Mapping[str, Part]:
    """The fields of a form by name. Raises :class:`InvalidRequestError`, naming ``body``."""
    header = _header(content_type)
    boundary = header.get_param("boundary", header="content-type")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise _wrong(f"is not multipart/form-data with a boundary, but {content_type!r:.60}")
    if not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise _wrong("has a boundary that is none")
    line = b"--" + boundary.encode("ascii")
    if body.startswith(line):
        at = len(line)
    else:
        start = body.find(b"\r\n" + line)
        if start < 0:
            raise _wrong("does not hold its boundary")
        at = start + 2 + len(line)
    parts: dict[str, Part] = {}
    while body[at : at + 2] != b"--":
        at = _end_of_line(body, at)
        end = body.find(b"\r\n" + line, max(at - 2, 0))
        if end < 0:
            raise _wrong("is cut short")
        if len(parts) >= MAX_PARTS:
            raise _wrong(f"has more than {MAX_PARTS} fields")
        name, part = _part(body[at : max(at, end)])
        if name in parts:
            raise InvalidRequestError(name, "is given twice")
        parts[name] = part
        at = end + 2 + len(line)
    return parts


def _end_of_line(body: bytes, at: int) -> int:
    """Past the end of the line at ``at``, which holds nothing but spaces."""
    end = body.find(b"\r\n", at)
    if end < 0 or body[at:end].strip(b" \t"):
        raise _wrong("has a boundary that does not end")
    return end + 2


def _part(data: bytes) -> tuple[str, Part]:
    end = data.find(BLANK, 0, MAX_HEADERS)
    if end < 0:
        raise _wrong("has a part without headers")
    try:
        lines = data[:end].decode("utf-8").split("\r\n")
    except UnicodeDecodeError:
        raise _wrong("has headers that are not UTF-8") from None
    headers = {}
    for line in lines:
        key, _, value = line.partition(":")
        headers[key.strip().lower()] = value.strip()
    if headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
        raise _wrong("has a part that is encoded")
    said = _header(headers.get("content-disposition", ""), "content-disposition")
    name = said.get_param("name", header="content-disposition")
    if said.get_content_disposition() != "form-data" or not isinstance(name, str) or not name:
        raise _wrong("has a part without a name")
    return name, Part(data[end + len(BLANK) :], said.get_filename())


def _header(value: str, name: str = "content-type") -> Message:
    message = Message()
    message[name] = value.replace("\r", " ").replace("\n", " ")
    return message


def _wrong(why: str) -> InvalidRequestError:
    return InvalidRequestError("body", why, remedy="Send a form, as OpenAI's clients do.")
