"""What one reader takes for a body and another for a request, on a bare socket."""

from __future__ import annotations

import pytest

from tests.server.intrusion.guarded import Guarded
from tests.server.serving import Served, received

ASK = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
HIDDEN = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5 5\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: " + b"9" * 30 + b"\r\n",
        b"Content-Length : 5\r\n",
        b" Content-Length: 5\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"X: y\r\n Transfer-Encoding: chunked\r\n",
        b"X: y\r\n\tContent-Length: 5\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
        b"X: y\rTransfer-Encoding: chunked\r\n",
        b"X: y\x00\r\n",
        b"X\x00: y\r\n",
        b": y\r\n",
        b"no colon\r\n",
        b"Host: localhost\r\n",  # a second one
        b"X: " + b"y" * 100_000 + b"\r\n",
        b"".join(b"X-%d: y\r\n" % i for i in range(10_000)),
    ],
    ids=lambda head: str(head[:60]),
)
def test_an_unclear_head_is_refused_and_nothing_behind_it_is_read(
    served: Served, head: bytes
) -> None:
    answer = served.raw(ASK + head + b"\r\n" + b"0\r\n\r\n" + HIDDEN)
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""
    assert answer.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/models\r\n",
        b"GET  /v1/models HTTP/1.1\r\n",
        b"GET /v1/models HTTP/1.1 \r\n",
        b"GET /v1/mod els HTTP/1.1\r\n",
        b"G\x00T /v1/models HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"\r\nGET /v1/models HTTP/1.1\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n",
    ],
    ids=lambda line: str(line[:40]),
)
def test_a_line_that_asks_for_nothing_is_refused(served: Served, line: bytes) -> None:
    answer = served.raw(line + b"Host: localhost\r\n\r\n" + HIDDEN)
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""
    assert answer.count(b"HTTP/1.1 ") <= 1


def test_a_head_without_an_end_is_refused(served: Served) -> None:
    assert served.raw(ASK, *[b"X: " + b"y" * 1000 + b"\r\n"] * 100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\n{}\r\n0\r\n\r\n", b"2\n{}\n0\n\n", b"-2\r\n{}\r\n", b"2\r\n{}0\r\n\r\n",
     b"1" * 30 + b"\r\n{}", b"2;" + b"x" * 100_000],
    ids=lambda chunks: str(chunks[:20]),
)  # fmt: skip
def test_a_chunk_that_is_none_is_refused(served: Served, chunks: bytes) -> None:
    answer = served.raw(ASK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + HIDDEN)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_body_longer_than_it_says_is_a_request_of_its_own(served: Served) -> None:
    answer = served.raw(
        ASK + b"Content-Length: 2\r\n\r\n{}" + HIDDEN.replace(b"\r\n\r\n", b"\r\nX"),
        b": y\r\nConnection: close\r\n\r\n",
    )
    assert answer.count(b"HTTP/1.1 400 ") == 1  # `{}` has no prompt
    assert answer.count(b"HTTP/1.1 200 ") == 1


def test_a_body_shorter_than_it_says_is_waited_for_and_given_up(guarded: Guarded) -> None:
    key = guarded.full.secret.encode()
    with guarded.served.connected() as link:
        link.sendall(ASK + b"Authorization: Bearer " + key + b"\r\nContent-Length: 900\r\n\r\n{}")
        assert received(link) == b""


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_told(served: Served, chunked: bool) -> None:
    part, times = b"x" * 0x100000, 20
    content = (part for _ in range(times)) if chunked else part * times
    answer = served.http().post("/v1/completions", content=content)
    assert answer.status_code == 413
    assert "larger than 16,777,216 bytes" in answer.json()["error"]["message"]
    early = served.raw(ASK + b"Content-Length: 17000000\r\nConnection: close\r\n\r\n")
    assert early.startswith(b"HTTP/1.1 413 ")
