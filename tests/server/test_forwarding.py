"""The door in front of replicas: asked again while that does no harm, and errors that are clean."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest
from starlette.types import Message

from studiolo.server.forwarding import Ask, Forwarding

OK: Message = {"type": "http.response.start", "status": 200, "headers": []}
STREAM: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"x-request-id", b"req_1"),
    ],
}


def body(text: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": more}


class Replicas:
    """Gives ``answers`` in turn: batches of messages; an error stands for a replica that dies."""

    def __init__(self, *answers: Sequence[list[Message] | Exception]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any], bytes]] = []
        self.ended = 0

    async def ask(
        self, token: str, scope: dict[str, Any], body: bytes
    ) -> AsyncGenerator[list[Message], None]:
        self.asked.append((token, scope, body))
        try:
            for each in self.answers.pop(0):
                if isinstance(each, Exception):
                    raise each
                yield each
        finally:
            self.ended += 1


def exchange(
    ask: Ask, *, path: str = "/v1/chat/completions", method: str = "POST", given: bytes = b"{}"
) -> list[Message]:
    """What comes of one request, sent in two pieces."""
    sent: list[Message] = []
    pieces: list[Message] = [
        {"type": "http.request", "body": given[:1], "more_body": True},
        {"type": "http.request", "body": given[1:], "more_body": False},
    ]

    async def main() -> None:
        async def receive() -> Message:
            if pieces:
                return pieces.pop(0)
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "headers": [], "app": object(),
            "query_string": b"", "client": ("127.0.0.1", 1),
        }  # fmt: skip
        await Forwarding(ask)(scope, receive, send)

    asyncio.run(main())
    return sent


def told(sent: list[Message]) -> tuple[int, dict[str, Any]]:
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_what_a_replica_says_is_passed_on() -> None:
    replicas = Replicas([[OK, body(b"a", True)], [body(b"b")]])
    assert exchange(replicas.ask, given=b'{"x": 1}') == [OK, body(b"a", True), body(b"b")]
    ((token, scope, given),) = replicas.asked
    assert given == b'{"x": 1}'
    assert len(token) == 64
    assert "app" not in scope, "it could not go to another process"
    assert (scope["path"], scope["client"]) == ("/v1/chat/completions", ("127.0.0.1", 1))


def test_a_replica_that_is_lost_before_it_answers_is_followed_by_another() -> None:
    lost = [ConnectionError()]
    replicas = Replicas(lost, lost, [[OK, body(b"a")]])
    assert exchange(replicas.ask) == [OK, body(b"a")]
    assert replicas.ended == 3


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/chat/completions", lambda error: error["error"]["code"]),
        ("/v1/messages", lambda error: error["error"]["type"]),
        ("/api/chat", lambda error: error["error"]),
    ],
)
def test_when_all_are_lost_the_dialect_says_so(
    path: str, shape: Callable[[dict[str, Any]], str]
) -> None:
    replicas = Replicas(*[[ConnectionError()]] * 3)
    status, error = told(exchange(replicas.ask, path=path))
    assert status == 503
    assert shape(error)
    assert "is gone" in json.dumps(error)


def test_what_might_be_done_twice_is_not_asked_twice() -> None:
    for method, path in (("POST", "/studiolo/v1/keys"), ("POST", "/v1/files")):
        replicas = Replicas([ConnectionError()], [[OK, body(b"a")]])
        assert told(exchange(replicas.ask, method=method, path=path))[0] == 503
        assert len(replicas.asked) == 1
    replicas = Replicas([ConnectionError()], [[OK, body(b"a")]])
    assert exchange(replicas.ask, method="GET", path="/v1/files")[0] == OK


def test_a_stream_that_breaks_ends_with_an_error_event() -> None:
    replicas = Replicas([[STREAM, body(b"data: x\n\n", True)], ConnectionError()])
    *_, last = exchange(replicas.ask)
    assert last["more_body"] is False
    assert last["body"].startswith(b"data: {")
    error = json.loads(last["body"][6:])["error"]
    assert (error["type"], error["code"]) == ("server_error", "LostError")


def test_anything_else_that_breaks_is_broken_off() -> None:
    replicas = Replicas([[OK, body(b"x", True)], ConnectionError()])
    with pytest.raises(Exception, match="is gone"):
        exchange(replicas.ask)


def test_leaving_ends_the_answer() -> None:
    ended = []

    async def ask(
        token: str, scope: dict[str, Any], given: bytes
    ) -> AsyncGenerator[list[Message], None]:
        try:
            yield [OK]
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def main() -> None:
        gone = asyncio.Event()
        first = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if first:
                return first.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            gone.set()

        scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        await Forwarding(ask)(scope, receive, send)

    asyncio.run(main())
    assert ended == [True]


def test_it_lives_as_asgi_wants_and_takes_no_websockets() -> None:
    async def main() -> None:
        sent: list[Message] = []
        kinds = ["lifespan.startup", "lifespan.shutdown"]

        async def receive() -> Message:
            return {"type": kinds.pop(0)}

        async def send(message: Message) -> None:
            sent.append(message)

        door = Forwarding(Replicas().ask)
        await door({"type": "lifespan"}, receive, send)
        await door({"type": "websocket"}, receive, send)
        assert [each["type"] for each in sent] == [
            "lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close",
        ]  # fmt: skip

    asyncio.run(main())
