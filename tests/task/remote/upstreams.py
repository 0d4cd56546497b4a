"""A server that answers as it is told to: well, badly, slowly, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from studiolo.task.remote.settings import Remote

EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Reply:
    """``pieces`` are sent one by one; then the end, or else silence or a broken connection."""

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = EVENTS
    ends: str = "well"  # or "silent", "broken", or "dropped" before the first byte


@dataclass
class Asked:
    """A request."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Fake:
    """Gives ``replies`` in turn, and the last again and again."""

    replies: list[Reply]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client goes away while it is being kept waiting."""
    serving: dict[asyncio.Future[None], asyncio.StreamWriter] = field(default_factory=dict)

    def remote(self, dialect: str = "openai", **options: Any) -> Remote:
        """How it is reached, without patience unless ``options`` say so."""
        return Remote.model_validate(
            {"dialect": dialect, "url": f"{self.url}/v1", "model": "theirs", **options}
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving[asyncio.ensure_future(self._serve(reader, writer))] = writer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.close()

    async def close(self) -> None:
        """End every connection."""
        for task in self.serving:
            task.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)
        for writer in self.serving.values():
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.asked.append(Asked(head[0].split()[1], headers, body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply.ends == "dropped":
            return False
        lines = [f"HTTP/1.1 {reply.status} Fine", f"content-type: {reply.kind}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode())
        for piece in reply.pieces:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        if reply.ends == "broken":
            return False
        if reply.ends == "silent":
            with suppress(ConnectionError):
                await reader.read()
            self.left.set()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


@asynccontextmanager
async def upstream(*replies: Reply) -> AsyncIterator[Fake]:
    """A :class:`Fake` on a free port of this machine."""
    fake = Fake(list(replies))
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.close()
        await fake.close()


def sent(*data: object, name: str | None = None) -> list[bytes]:
    """Events of a stream, one piece each."""
    head = b"" if name is None else f"event: {name}\n".encode()
    return [
        head
        + b"data: "
        + (each if isinstance(each, bytes) else json.dumps(each).encode())
        + b"\n\n"
        for each in data
    ]


def chunk(index: int = 0, **choice: Any) -> dict[str, Any]:
    """A chunk of a chat completion."""
    return {"choices": [{"index": index, "finish_reason": None, **choice}]}


def said(*texts: str, reason: str = "stop", usage: object = None) -> list[bytes]:
    """A whole chat completion, a chunk for each of ``texts``."""
    chunks: list[object] = [chunk(delta={"role": "assistant", "content": ""})]
    chunks += [chunk(delta={"content": text}) for text in texts]
    chunks.append(chunk(delta={}, finish_reason=reason))
    if usage is not None:
        chunks.append({"choices": [], "usage": usage})
    return sent(*chunks, b"[DONE]")


HELLO = Reply(said("Hel", "lo", usage={"prompt_tokens": 7, "completion_tokens": 2}))
TOO_MANY = Reply([b'{"error": {"message": "slow down"}}'], 429, {"retry-after": "3"}, "text/json")
BROKEN = Reply([b"secret internals"], 503, kind="text/plain")
