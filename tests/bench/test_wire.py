from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from bench.wire import Reply, ask, digests_of, posted, text_of

SSE = {"content-type": "text/event-stream; charset=utf-8"}


def replied(answer: bytes, **options: object) -> tuple[Reply, bytes]:
    """What is made of an answer, and what had been asked."""
    seen = b""

    async def both() -> Reply:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal seen
            seen = await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            return await ask(address, posted("/x", {}), **options)  # type: ignore[arg-type]

    return asyncio.run(both()), seen


def test_an_answer_of_known_length() -> None:
    reply, seen = replied(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Y: Z\r\n\r\nabcde")
    assert (reply.status, reply.body, reply.whole) == (200, b"abcde", True)
    assert reply.headers["x-y"] == "Z"
    assert 0 < reply.first <= reply.seconds
    assert seen.startswith(b"POST /x HTTP/1.1\r\n")
    assert b"Content-Length: 2\r\n" in seen


def test_an_answer_in_chunks() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply, _ = replied(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert (reply.body, reply.whole) == (b"abcde", True)
    for cut in (b"3\r\nabc\r\n", b"3\r\nab"):
        reply, _ = replied(head + cut)
        assert (reply.status, reply.whole) == (200, False)


def test_an_answer_that_is_cut_is_not_whole() -> None:
    reply, _ = replied(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    assert (reply.body, reply.whole) == (b"abc", False)
    assert replied(b"HTTP/1.1 2")[0].status == 0
    assert asyncio.run(ask(("127.0.0.1", 1), b"")).status == 0


def test_a_client_may_leave() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    leaves: Callable[[Reply], bool] = lambda reply: len(reply.body) >= 3  # noqa: E731
    reply, _ = replied(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", leaves=leaves, pause=0.01)
    assert (reply.body, reply.whole) == (b"abc", False)


def test_texts_are_read_whole_or_not_at_all() -> None:
    whole = json.dumps({"choices": [{"text": "a b"}], "receipt": {"digests": {"output": "x"}}})
    reply = Reply(200, {"content-type": "application/json"}, whole.encode(), whole=True)
    assert text_of(reply) == "a b"
    assert digests_of(reply) == {"output": "x"}
    reply.whole = False
    assert text_of(reply) is None
    pieces = [{"choices": [{"text": text}]} for text in ("a", " b")]
    body = b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces)
    assert text_of(Reply(200, SSE, body + b"data: [DONE]\n\n", whole=True)) == "a b"
    assert text_of(Reply(200, SSE, body, whole=True)) is None
    error = b'data: {"error": {}}\n\ndata: [DONE]\n\n'
    assert text_of(Reply(200, SSE, body + error, whole=True)) is None
    assert text_of(Reply(429, SSE, body, whole=True)) is None
