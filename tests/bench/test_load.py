from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from rich.console import Console

from bench.crowd import Ask, Solo
from bench.load import HOME, Result, alone, asks, crowd, failed, grown, manner, table_of, told
from bench.wire import Address, Reply


def test_requests_differ_and_are_the_same_every_time() -> None:
    wanted = asks(30)
    assert wanted == asks(30)
    assert len({json.dumps(each.body) for each in wanted}) == 30
    assert all(each.body["max_tokens"] <= 32 for each in wanted)


def test_who_reads_how() -> None:
    assert manner("whole", 0) == {}
    assert manner("slow", 0)["pause"]
    leaves = [manner("gone", number)["leaves"] for number in range(3)]
    assert [leave(Reply()) for leave in leaves] == [True, False, False]  # type: ignore[operator]


def serving(answer: Callable[[bytes], bytes], use: Callable[[Address], object]) -> None:
    """A server that answers any request at once, and what asks it."""

    async def both() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(answer(head))
                await writer.drain()
                await reader.read()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            await use(server.sockets[0].getsockname())  # type: ignore[misc]

    asyncio.run(both())


def whole(status: str, body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status.encode(), b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_a_crowd_comes_whether_or_not_it_is_let_in() -> None:
    count, result = 0, Result(HOME, offered=400.0)

    def answer(head: bytes) -> bytes:
        nonlocal count
        count += 1
        if count % 2:
            return whole("429 Busy", b"{}", b"Retry-After: 1")
        body = json.dumps({"choices": [{"text": "right"}]}).encode()
        return whole("200 OK", body, b"Content-Type: application/json")

    async def use(address: Address) -> None:
        wanted = [Ask({"prompt": "a"})] * 3
        sizes = iter(range(10**6))
        until = time.perf_counter() + 0.5
        await crowd(address, wanted, [Solo("right")] * 3, result, until, lambda: next(sizes), False)

    serving(answer, use)
    tally = result.tally
    assert result.seconds >= 0.5
    assert sum(tally.verdicts.values()) == count > 20
    assert tally.count("shed") > 0
    assert tally.unclear == 0
    assert tally.answered > 0
    assert result.sizes
    shown = Console(width=100, record=True)
    shown.print(table_of([result], "title"))
    assert f"{tally.count('shed'):,}" in shown.export_text()
    assert json.loads(json.dumps(told(result)))["tally"]["statuses"]["429"] > 0


def test_what_is_asked_alone_is_remembered() -> None:
    found: list[Solo] = []

    def answer(head: bytes) -> bytes:
        body = json.dumps({"choices": [{"text": "right"}], "receipt": {"digests": 5}}).encode()
        return whole("200 OK", body, b"Content-Type: application/json")

    async def use(address: Address) -> None:
        found.extend(await alone(address, [Ask({"prompt": "a"})], receipts=True))

    serving(answer, use)
    assert found == [Solo("right", 5)]


def test_what_must_not_be_is_a_failure() -> None:
    fine = Result(HOME, ended=0, sizes=[100] * 8)
    assert not failed(fine)
    assert grown(fine) == "+0.0%"
    assert failed(Result(HOME, ended=-9))
    assert failed(Result(HOME, ended=0, problem="it ended"))
    assert failed(Result(HOME, ended=0, sizes=[100] * 6 + [120] * 2))
    for kind, reply in (("whole", Reply()), ("whole", Reply(500)), ("whole", Reply(429))):
        result = Result(HOME, ended=0)
        result.tally.note(kind, reply, Solo("right"))  # type: ignore[arg-type]
        assert failed(result), reply
