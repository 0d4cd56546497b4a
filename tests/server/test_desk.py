from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    PermissionDeniedError,
    StudioloError,
    TooLargeError,
)
from studiolo.record.grant import Budget, Key, Limits
from studiolo.server.context import Caller, Context
from studiolo.server.desk import Desk, whole_number
from studiolo.server.inside import look
from studiolo.server.room import Room
from studiolo.server.settings import Price
from studiolo.task.asking import Answer, Choice, Outcome, Piece, TextAsk
from tests.server.serving import Served, eventually, serving

ASK = {"prompt": "a", "max_tokens": 50, "seed": 1, "ignore_eos": True}
KEY = Key("abc", "n", "", ("inference",), ("tiny",), Limits(), created=0.0)


@pytest.fixture(scope="module")
def small(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes little and asks for money."""
    path = tmp_path_factory.mktemp("small") / "records.db"
    prices = {"tiny": Price(prompt=1e6, completion=2e6)}
    with serving(path, max_body=200, bodies=300, prices=prices, watts=10.0) as running:
        yield running


@pytest.fixture(scope="module")
def spent(
    tiny_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, str]]:
    """A server without open models, and a key that has had more than it may."""
    with serving(tmp_path_factory.mktemp("spent") / "records.db") as running:
        slow = running.studio.records.keys.create(name="n", limits=Limits(tokens_per_minute=1))
        running.studio.limiter.charge(slow.key, 10**9, 0)
        yield running, slow.secret


def desk(served: Served, *messages: dict[str, Any], headers: dict[str, str] | None = None) -> Desk:
    """One request of nobody's, whose client sends these messages and then leaves."""
    left = [*messages, {"type": "http.disconnect"}]

    async def receive() -> Any:
        await asyncio.sleep(0)
        return left.pop(0) if len(left) > 1 else left[0]

    scope = {
        "type": "http", "method": "POST", "path": "/", "studiolo": Context("POST /", "openai"),
        "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        "app": SimpleNamespace(state=SimpleNamespace(studio=served.studio)),
    }  # fmt: skip
    return Desk(Request(scope, receive))


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_comes_in_parts(small: Served) -> None:
    made = desk(small, part(b"ab", more=True), part(b"", more=True), part(b"cd"))
    assert asyncio.run(made.body()) == b"abcd"
    assert asyncio.run(desk(small, part(b"x" * 200)).body()) == b"x" * 200


@pytest.mark.parametrize("told", [{}, {"content-length": "3"}, {"content-length": "²"}])
def test_a_body_is_too_large_whatever_its_length_is_said_to_be(
    small: Served, told: dict[str, str]
) -> None:
    with pytest.raises(TooLargeError, match="larger than 200 bytes"):
        asyncio.run(desk(small, part(b"x" * 201), headers=told).body())
    with pytest.raises(TooLargeError, match="larger than 4 bytes"):
        asyncio.run(desk(small, part(b"x" * 5), headers=told).body(4))


def test_a_body_that_says_it_is_too_large_is_not_read(small: Served) -> None:
    made = desk(small, part(b"x"), headers={"content-length": "201"})
    with pytest.raises(TooLargeError):
        asyncio.run(made.body())
    assert asyncio.run(made.request.body()) == b"x"


def test_bodies_under_way_have_a_limit_together(small: Served) -> None:
    room = Room(requests=9, bodies=small.studio.settings.bodies)
    first, second = desk(small, part(b"x" * 200)), desk(small, part(b"x" * 200))
    first.context.place, second.context.place = room.enter(""), room.enter("")
    asyncio.run(first.body())
    with pytest.raises(BusyError):
        asyncio.run(second.body())


def test_a_client_that_leaves_within_its_body_is_gone(small: Served) -> None:
    with pytest.raises(ClientDisconnect):
        asyncio.run(desk(small, part(b"x", more=True)).body())


def test_the_body_and_the_client_are_not_read_at_once(small: Served) -> None:
    async def both() -> None:
        made = desk(small, part(b"x", more=True), part(b"y"))
        with pytest.raises(RuntimeError, match="read before the client is watched"):
            await made.unless_gone(made.body())
        made = desk(small, part(b"x", more=True), part(b"y"))
        reading = asyncio.create_task(made.body())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="to its end before"):
            await made.unless_gone(asyncio.Future())
        assert await reading == b"xy"

    asyncio.run(both())


def test_a_key_names_the_models_it_is_for(small: Served) -> None:
    made = desk(small)
    assert made.model(None) == "tiny"
    assert made.model(None, encoder=True) == "tiny-encoder"
    made.context.caller = Caller(KEY)
    assert made.model("tiny") == "tiny"
    with pytest.raises(PermissionDeniedError, match="not for the model 'other'") as refused:
        made.model("other")
    assert refused.value.remedy == "It is for tiny."
    assert made.context.model == "other"
    with pytest.raises(PermissionDeniedError):
        made.require("batch")
    assert f"req_{made.id}" == made.context.id


def test_an_answer_is_counted_and_charged(small: Served) -> None:
    http = small.http()
    answer = http.post("/v1/completions", json={**ASK, "max_tokens": 7, "user": "anna"})
    usage = answer.json()["usage"]
    entry = small.entry(answer.headers["x-request-id"])
    assert (entry.status, entry.error, entry.finish_reason) == (200, None, "length")
    assert (entry.model, entry.user, entry.key) == ("tiny", "anna", None)
    assert entry.prompt_tokens == usage["prompt_tokens"]
    assert entry.completion_tokens == usage["completion_tokens"] == 7
    assert entry.cost == entry.prompt_tokens * 1 + 7 * 2
    assert entry.weights
    assert entry.seconds_to_first is not None
    assert 0 < entry.joules <= 10 * entry.seconds


def test_vectors_are_counted(small: Served) -> None:
    answer = small.http().post("/v1/embeddings", json={"input": ["a", "bc"]})
    entry = small.entry(answer.headers["x-request-id"])
    assert entry.prompt_tokens == answer.json()["usage"]["prompt_tokens"] == 3 + 4
    assert (entry.completion_tokens, entry.model) == (0, "tiny-encoder")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("steps", [0, 4])
def test_a_client_that_leaves_ends_its_request_at_the_next_step(
    small: Served, stream: bool, steps: int
) -> None:
    body = json.dumps({**ASK, "stream": stream}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    known = {each.id for each in small.entries()}
    with small.braked() as brake:
        with small.connected() as link:
            link.sendall(head % len(body) + body)
            eventually(lambda: small.jobs == 1)
            for _ in range(steps):
                brake.release()
            if stream and steps:
                while link.recv(65536).count(b"data: ") == 0:
                    pass
        eventually(lambda: small.studio.room.count == 0)
        brake.release()  # the step that is being taken; there is no other
        eventually(lambda: small.jobs == 0)
    (entry,) = [each for each in small.entries() if each.id not in known]
    assert (entry.status, entry.error) == (499, "ClientDisconnect")
    assert entry.prompt_tokens == min(entry.completion_tokens, 1)  # which are read by then
    assert entry.completion_tokens <= steps + 1
    assert entry.completion_tokens > 0 or not (stream and steps)
    assert entry.finish_reason is None
    small.studio.house.unload("tiny")  # nobody uses it any more


def test_what_fails_in_the_middle_of_a_stream_is_an_event_and_is_noted(small: Served) -> None:
    http, asked = small.http(), {**ASK, "max_tokens": 4000, "stream": True}
    with small.braked() as steps:
        with http.stream("POST", "/v1/completions", json=asked) as answer:
            eventually(lambda: small.jobs == 1)
            steps.release(2)
            lines = answer.iter_lines()
            assert next(lines).startswith("data: ")
            model = small.studio.house._opened["tiny"].model
            advance = model.advance
            model.advance = broken  # type: ignore[method-assign,assignment]
            steps.release(2)
            last = [line for line in lines if line][-1]
        model.advance = advance  # type: ignore[method-assign]
    told = json.loads(last.removeprefix("data: "))
    assert told["error"]["type"] == "server_error"
    assert "secret" not in last
    entry = small.entry(answer.headers["x-request-id"])
    assert (entry.status, entry.error) == (200, "ZeroDivisionError")
    assert entry.completion_tokens > 0


def broken(*_: object) -> None:
    raise ZeroDivisionError("secret")


def test_a_key_in_debt_is_told_when_to_come_back(small: Served) -> None:
    limits = Limits(requests_per_minute=1, budget=Budget(1, "day"))
    caller = Caller(Key("rich", "n", "", ("inference",), ("*",), limits, created=0.0))
    first, second = desk(small), desk(small)
    first.context.caller = second.context.caller = caller

    async def twice() -> None:
        await first.admit()
        await first.admit()  # it is one request
        with pytest.raises(BusyError, match="1 requests a minute") as busy:
            await second.admit()
        assert 0 < busy.value.retry_after <= 60

    asyncio.run(twice())


SAID = {"role": "user", "content": "a"}
TOLD = [{"role": "user", "content": [{"text": "a"}]}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [SAID]}),
        ("/v1/completions", ASK),
        ("/v1/responses", {"input": "a"}),
        ("/v1/embeddings", {"input": "a"}),
        ("/studiolo/v1/continue", {"prompt": "a"}),
        ("/v1/messages", {"model": "tiny", "max_tokens": 1, "messages": [
            SAID, {"role": "assistant", "content": "b"}]}),
        ("/v1/messages/count_tokens", {"model": "tiny", "messages": [SAID]}),
        ("/model/tiny/converse", {"messages": [*TOLD, {"role": "assistant", "content": [
            {"text": "b"}]}]}),
        ("/model/tiny/count-tokens", {"input": {"converse": {"messages": TOLD}}}),
        ("/model/tiny/invoke", {"prompt": "a", "max_gen_len": 1}),
        ("/model/tiny-encoder/invoke", {"inputText": "a"}),
        ("/model/tiny/invoke-with-response-stream", {"prompt": "a", "max_tokens": 1}),
        ("/api/generate", {"model": "tiny", "prompt": "a"}),
        ("/api/generate", {"model": "tiny"}),
        ("/api/chat", {"model": "tiny", "messages": [SAID]}),
        ("/api/embed", {"model": "tiny-encoder", "input": "a"}),
    ],
)  # fmt: skip
def test_who_may_ask_no_more_opens_no_model(
    spent: tuple[Served, str], path: str, body: Any
) -> None:
    served, secret = spent
    answer = served.http(headers={"x-api-key": secret}).post(path, json=body)
    assert answer.status_code == 429, answer.text
    assert "may take 1 tokens a minute" in answer.text
    assert look(served.studio.house) == []


class Elsewhere:
    """A model elsewhere that breaks off after its first word."""

    fingerprint, prompt_tokens = "fp", 5

    async def __aiter__(self) -> AsyncIterator[Piece]:
        yield Piece(0, "word")
        raise StudioloError("broken off")

    @property
    def outcome(self) -> Outcome:
        return Outcome(5, 0, 1, None, 0.5)

    def receipt(self) -> None:
        return None


def test_an_answer_that_breaks_off_is_charged_what_it_took(small: Served) -> None:
    made = desk(small)
    made.model("tiny")

    class House:
        def tell(self, ask: TextAsk, **_: object) -> Any:
            return nullcontext(Elsewhere())

    made.studio = SimpleNamespace(  # type: ignore[assignment]
        house=House(), settings=small.studio.settings, records=small.studio.records,
        limiter=small.studio.limiter,
    )  # fmt: skip

    def write(choices: list[Choice], outcome: Outcome, fingerprint: str) -> None:
        pytest.fail("there is nothing to write")

    async def left(answer: Answer) -> None:
        await anext(aiter(answer))

    async def all_of(made: Desk) -> None:
        async with made.answer(TextAsk("tiny")) as answer:
            async for _ in answer:
                pass

    async def both() -> None:
        async with made.answer(TextAsk("tiny")) as answer:
            await left(answer)
        assert made.context.outcome is not None
        assert made.context.outcome.completion_tokens == 1
        with pytest.raises(StudioloError, match="broken off"):
            await all_of(made)
        assert made.context.outcome.prompt_tokens == 5
        assert made.context.cost == 5 + 2
        assert made.context.finish is None

    asyncio.run(both())


def test_a_whole_number_of_an_address() -> None:
    assert whole_number("limit", "7", 1, 10) == 7
    for text in ("0", "11", "-1", "1.0", "", "²", "1e1", " 1"):
        with pytest.raises(InvalidRequestError, match="limit: must be a whole number, 1 to 10"):
            whole_number("limit", text, 1, 10)
