"""Just enough HTTP for a client that costs little and can be as rude as it likes.

A library would take a share of the processors that are measured, and would not send half a body.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

Address = tuple[str, int]
CHUNK = 65536


@dataclass
class Reply:
    """What came back. ``status`` is 0 if nothing did; ``whole``: it came to its proper end.

    Seconds since the connection was asked for: ``first``, of the body's first bytes, and
    ``seconds``, of its last.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    first: float = 0.0
    seconds: float = 0.0


def posted(path: str, body: Mapping[str, Any] | bytes, *, length: int | None = None) -> bytes:
    """A request; ``length``: what is said of the body's, if not the truth."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(data) if length is None else length}\r\n\r\n"
    )
    return head.encode() + data


async def ask(
    address: Address,
    request: bytes,
    *,
    pause: float = 0.0,
    leaves: Callable[[Reply], bool] = lambda reply: False,
) -> Reply:
    """Send ``request`` and read what comes, ``pause`` seconds apart, until the end or ``leaves``.

    Whoever waits no longer cancels. A connection that breaks leaves the reply as it is by then.
    """
    reply, start = Reply(), time.perf_counter()
    # Little is read ahead, so that a client that pauses does not take all at once.
    limit = CHUNK if not pause else 2048
    with suppress(OSError, asyncio.IncompleteReadError, ValueError):
        reader, writer = await asyncio.open_connection(*address, limit=limit)
        try:
            writer.write(request)
            await writer.drain()
            _read_head(reply, await reader.readuntil(b"\r\n\r\n"))
            chunked = reply.headers.get("transfer-encoding") == "chunked"
            left = int(reply.headers.get("content-length", -1))
            while not leaves(reply):
                part = await _chunk(reader) if chunked else await reader.read(CHUNK)
                reply.seconds = time.perf_counter() - start
                reply.first = reply.first or reply.seconds
                reply.body += part
                if not part or len(reply.body) == left:
                    reply.whole = chunked or len(reply.body) == left
                    break
                if pause:
                    await asyncio.sleep(pause)
        finally:
            writer.transport.abort()
    return reply


def _read_head(reply: Reply, head: bytes) -> None:
    line, *rest = head.decode("latin-1").split("\r\n")
    reply.status = int(line.split()[1])
    for each in rest:
        name, _, value = each.partition(":")
        reply.headers[name.strip().lower()] = value.strip()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk, empty at the end; raises where the stream just stops."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    data = await reader.readexactly(size + 2)
    return data[:-2]


def text_of(reply: Reply) -> str | None:
    """The text of a completion, whole or streamed; None if it is not there to its end."""
    if not reply.whole or reply.status != 200:
        return None
    if not reply.headers.get("content-type", "").startswith("text/event-stream"):
        return str(json.loads(reply.body)["choices"][0]["text"])
    events = [line[6:] for line in reply.body.split(b"\n") if line.startswith(b"data: ")]
    if not events or events[-1] != b"[DONE]":
        return None
    chunks = [json.loads(event) for event in events[:-1]]
    if any("error" in chunk for chunk in chunks):
        return None
    return "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])


def digests_of(reply: Reply) -> object:
    """The digests in the receipt of a whole answer, if it has one."""
    receipt = json.loads(reply.body).get("receipt") if reply.whole else None
    return None if receipt is None else receipt["digests"]
