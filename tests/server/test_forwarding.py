"""The door in front of replicas: asked again while that does no harm, and errors that are clean."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer  # type: ignore[import-untyped]
from starlette.types import Message

from studiolo.server import forwarding
from studiolo.server.forwarding import Ask, Forwarding
from tests.server.serving import SETTINGS

OK: Message = {"type": "http.response.start", "status": 200, "headers": []}


def start(kind: str, id: bytes = b"x-request-id") -> Message:
    """The beginning of a stream of this media type."""
    headers = [(b"content-type", kind.encode()), (id, b"req_1")]
    return {"type": "http.response.start", "status": 200, "headers": headers}


STREAM = start("text/event-stream; charset=utf-8")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "PAUSE", 0)


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
    ask: Ask,
    *,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    given: bytes = b"{}",
    headers: Sequence[tuple[bytes, bytes]] = (),
    crowded: bool = False,
    **settings: Any,
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
            "type": "http", "method": method, "path": path, "headers": list(headers),
            "app": object(), "query_string": b"", "client": ("127.0.0.1", 1),
            "state": {"crowded": crowded},
        }  # fmt: skip
        await Forwarding(ask, replace(SETTINGS, **settings))(scope, receive, send)

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


def test_one_that_ends_without_an_end_is_lost_too() -> None:
    replicas = Replicas([[]], [[OK, body(b"a")]])
    assert exchange(replicas.ask) == [OK, body(b"a")]
    replicas = Replicas([[STREAM, body(b"data: x\n\n", True)]])
    assert b"LostError" in exchange(replicas.ask)[-1]["body"]


@pytest.mark.parametrize(
    ("path", "code", "shape"),
    [
        ("/v1/chat/completions", 503, lambda error: error["error"]["code"]),
        ("/v1/messages", 529, lambda error: error["error"]["type"]),
        ("/api/chat", 503, lambda error: error["error"]),
        ("/model/tiny/converse", 429, lambda error: error["message"]),
    ],
)
def test_when_all_are_lost_the_dialect_says_so(
    path: str, code: int, shape: Callable[[dict[str, Any]], str]
) -> None:
    replicas = Replicas(*[[ConnectionError()]] * 3)
    sent = exchange(replicas.ask, path=path)
    status, error = told(sent)
    assert status == code
    assert shape(error)
    assert "is gone" in json.dumps(error)
    headers = dict(sent[0]["headers"])
    assert headers[b"retry-after"] == b"1"
    assert any(value.startswith(b"req_") for value in headers.values())


@pytest.mark.parametrize(
    ("headers", "key"), [((), "code"), (((b"anthropic-version", b"2023-06-01"),), "type")]
)
def test_at_a_shared_address_it_says_so_to_each_in_its_own_words(
    headers: Sequence[tuple[bytes, bytes]], key: str
) -> None:
    replicas = Replicas(*[[ConnectionError()]] * 3)
    _, error = told(exchange(replicas.ask, path="/v1/models", method="GET", headers=headers))
    assert error["error"][key] == ("overloaded_error" if key == "type" else "LostError")


@pytest.mark.parametrize(
    ("path", "limit"), [("/ready", "QUICK"), ("/v1/models", "PATIENCE"), ("/", "SILENCE")]
)
def test_a_replica_that_gives_no_sign_of_life_is_not_waited_for(
    path: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(
        token: str, scope: dict[str, Any], given: bytes
    ) -> AsyncGenerator[list[Message], None]:
        if limit == "SILENCE":
            yield []
        await asyncio.Event().wait()
        yield []

    monkeypatch.setattr(forwarding, limit, 0.01)
    assert told(exchange(silent, path=path, method="GET"))[0] == 503


def test_signs_of_life_are_not_passed_on() -> None:
    replicas = Replicas([[], [OK], [], [body(b"a")]])
    assert exchange(replicas.ask) == [OK, body(b"a")]


def test_what_is_too_much_is_refused_before_anybody_is_asked() -> None:
    replicas = Replicas()
    status, error = told(exchange(replicas.ask, given=b"12345", max_body=4))
    assert (status, error["error"]["code"]) == (413, "TooLargeError")
    status, error = told(exchange(replicas.ask, given=b"12345", connections=0))
    assert (status, error["error"]["code"]) == (429, "BusyError")
    sent = exchange(replicas.ask, crowded=True)
    assert told(sent)[0] == 429
    assert (b"connection", b"close") in sent[0]["headers"]
    assert replicas.asked == []


def test_what_might_be_done_twice_is_not_asked_twice() -> None:
    for method, path in (
        ("POST", "/studiolo/v1/keys"),
        ("POST", "/v1/files"),
        ("POST", "/v1/batches"),
        ("DELETE", "/v1/responses/resp_1"),
    ):
        replicas = Replicas([ConnectionError()], [[OK, body(b"a")]])
        assert told(exchange(replicas.ask, method=method, path=path))[0] == 503
        assert len(replicas.asked) == 1
    replicas = Replicas([ConnectionError()], [[OK, body(b"a")]])
    assert exchange(replicas.ask, method="GET", path="/v1/files")[0] == OK


@pytest.mark.parametrize(
    ("path", "kind", "head"),
    [
        ("/v1/chat/completions", "text/event-stream; charset=utf-8", b"data: "),
        ("/v1/messages", "text/event-stream; charset=utf-8", b"event: error\ndata: "),
        ("/api/chat", "application/x-ndjson", b""),
    ],
)
def test_a_stream_that_breaks_ends_as_its_dialect_ends_one(
    path: str, kind: str, head: bytes
) -> None:
    replicas = Replicas([[start(kind), body(b"x", True)], ConnectionError()])
    *_, last = exchange(replicas.ask, path=path)
    assert last["more_body"] is False
    assert last["body"].startswith(head)
    assert last["body"].endswith(b"\n")
    error = json.loads(last["body"].removeprefix(head))["error"]
    assert "is gone" in json.dumps(error)
    if path == "/v1/chat/completions":
        assert (error["type"], error["code"]) == ("server_error", "LostError")


def test_a_stream_of_aws_ends_with_an_exception() -> None:
    begun = start("application/vnd.amazon.eventstream", b"x-amzn-requestid")
    replicas = Replicas([[begun, body(b"", True)], ConnectionError()])
    *_, last = exchange(replicas.ask, path="/model/tiny/converse-stream")
    buffer = EventStreamBuffer()
    buffer.add_data(last["body"])
    (message,) = buffer
    assert message.headers[":exception-type"] == "throttlingException"


def test_told_to_end_it_ends_what_is_under_way_and_says_so() -> None:
    async def main() -> None:
        waiting = asyncio.Event()

        async def ask(
            token: str, scope: dict[str, Any], given: bytes
        ) -> AsyncGenerator[list[Message], None]:
            if scope["path"] == "/v1/completions":
                yield [STREAM, body(b"data: x\n\n", True)]
            waiting.set()
            await asyncio.Event().wait()

        async def receive() -> Message:
            if not waiting.is_set():
                return {"type": "http.request", "body": b"", "more_body": False}
            await asyncio.Event().wait()
            raise AssertionError

        for path in ("/v1/completions", "/v1/models"):
            sent: list[Message] = []

            async def send(message: Message, sent: list[Message] = sent) -> None:
                sent.append(message)

            waiting.clear()
            door = Forwarding(ask, SETTINGS)
            scope: dict[str, Any] = {
                "type": "http", "method": "POST", "path": path, "headers": [],
            }  # fmt: skip
            asked = asyncio.ensure_future(door(scope, receive, send))
            await waiting.wait()
            door.end()
            await asked
            assert b"RequestCancelledError" in sent[-1]["body"]
            assert sent[-1].get("more_body", False) is False
            assert sent[0]["status"] == (200 if path == "/v1/completions" else 503)

    asyncio.run(main())


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
        await Forwarding(ask, SETTINGS)(scope, receive, send)

    asyncio.run(main())
    assert ended == [True]


def test_it_takes_no_websockets() -> None:
    async def main() -> None:
        sent: list[Message] = []

        async def receive() -> Message:
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        await Forwarding(Replicas().ask, SETTINGS)({"type": "websocket"}, receive, send)
        assert [each["type"] for each in sent] == ["websocket.close"]

    asyncio.run(main())
