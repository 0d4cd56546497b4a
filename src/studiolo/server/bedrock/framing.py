"""AWS's event stream: messages in binary, each with headers, a payload, and two checksums.

Source: AWS, "Event stream encoding" (Smithy, ``vnd.amazon.eventstream``). A message is

=============  ==========================================================
bytes          what
=============  ==========================================================
4, 4           its whole length, and that of its headers, big-endian
4              CRC-32 of these eight bytes
any            headers: length and name, the type 7, length and text
any            the payload
4              CRC-32 of all before it
=============  ==========================================================

Nothing is read here: clients send no such streams to what is served.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from pydantic_core import to_json

MEDIA_TYPE = "application/vnd.amazon.eventstream"
TEXT = 7
"""The type of a header that is text."""


def event(kind: str, value: object) -> bytes:
    """The message that says ``value``, in JSON, by an event of that kind."""
    return _json("event", kind, value)


def exception(kind: str, value: object) -> bytes:
    """The last message of a stream that fails."""
    return _json("exception", kind, value)


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message. Names are of up to 255 bytes, texts of up to 65,535."""
    written = b"".join(map(_header, headers, headers.values()))
    head = struct.pack(">II", 16 + len(written) + len(payload), len(written))
    body = head + _sum(head) + written + payload
    return body + _sum(body)


def _json(of: str, kind: str, value: object) -> bytes:
    headers = {
        f":{of}-type": kind, ":content-type": "application/json", ":message-type": of,
    }  # fmt: skip
    return message(headers, to_json(value))


def _header(name: str, text: str) -> bytes:
    key, value = name.encode(), text.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", TEXT, len(value)) + value


def _sum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))
