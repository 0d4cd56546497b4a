from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import h11
import pytest
import uvicorn
from uvicorn.server import ServerState

from studiolo.server.connection import ABRUPT, MAX_HEAD, Connection, check_head
from tests.server.serving import Served, eventually, received, serving

ASK = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def hasty(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits for nobody for long, and for few."""
    path = tmp_path_factory.mktemp("hasty") / "records.db"
    with serving(path, slow=1.0, connections=4) as running:
        # Connections have it from there: the system shall hold as little as it lets one say.
        running.listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        yield running


def ends(link: socket.socket) -> bool:
    """Whether the server has given the connection up."""
    link.settimeout(0.05)
    try:
        return link.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r",  # the rest is still to come
        b"POST / HTTP/1.1\r\nContent-Length: 3",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked",
        b"GET / HTTP/1.0\r\nX-Content-Length: 3\r\nContent-Length: 3",
        b"",
    ],
)
def test_a_clear_head_is_let_pass(head: bytes) -> None:
    check_head(head)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: a",
        b"GET / HTTP/1.1\r\nHost: a\nX: y",
        b"GET / HTTP/1.1\r\nX: y\rZ: w",
        b"GET / HTTP/1.1\r\nX: y\r\n folded",
        b"GET / HTTP/1.1\r\nX: y\r\n\tfolded",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\ncontent-length : 4",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTRANSFER-ENCODING: chunked",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked",
        b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD,
    ],
)
def test_one_that_can_be_read_in_two_ways_is_refused(head: bytes) -> None:
    with pytest.raises(h11.RemoteProtocolError):
        check_head(head)


def test_the_second_request_of_a_connection_is_looked_at_as_the_first(served: Served) -> None:
    first = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    second = b"GET /live HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n"
    answer = served.raw(first + second)
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.count(b"HTTP/1.1 400 ") == 1
    # also after a body that was answered before its end
    early = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
    with served.connected() as link:
        link.sendall(early)
        while b"there is no such address" not in link.recv(65536):
            pass
        link.sendall(b"abc" + second)
        assert received(link).startswith(b"HTTP/1.1 400 ")


def test_a_chunk_that_is_none_after_the_answer_ends_the_connection(served: Served) -> None:
    with served.connected() as link:
        link.sendall(
            b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while b"there is no such address" not in link.recv(65536):
            pass
        link.sendall(b"no chunk\r\n")
        assert received(link) == b""


def test_a_config_of_another_kind_is_told() -> None:
    config = uvicorn.Config(lambda scope: None, log_config=None)
    with pytest.raises(TypeError, match="needs a Config"):
        Connection(config, ServerState(), {})


def test_no_body_waits_for_its_head_to_be_acknowledged(served: Served) -> None:
    with served.connected():
        known = served.server.server_state.connections
        eventually(lambda: bool(known))
        for connection in list(known):
            link = connection.transport.get_extra_info("socket")
            assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /live HT",
        ASK + b"Content-Length: 10\r\n\r\n12",
        ASK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{ ",
    ],
    ids=["nothing", "half a head", "half a body", "half of the chunks"],
)
def test_who_does_not_go_on_is_given_up(hasty: Served, begun: bytes) -> None:
    with hasty.connected() as link:
        link.sendall(begun)
        eventually(lambda: ends(link))
    eventually(lambda: hasty.jobs == 0)


def test_a_head_that_comes_letter_by_letter_is_given_up(hasty: Served) -> None:
    with hasty.connected() as link:
        letters = iter(b"GET /live HTTP/1.1\r\nX: " + b"x" * 10_000)

        def more() -> bool:
            try:
                link.sendall(bytes([next(letters)]))
            except ConnectionError:
                return True
            return ends(link)

        eventually(more)


def test_a_body_that_comes_slowly_but_comes_is_waited_for(hasty: Served) -> None:
    body = json.dumps({"prompt": "a" * 40, "max_tokens": 2}).encode()
    with hasty.connected() as link:
        link.sendall(ASK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for i in range(len(body)):  # longer in all than the server waits for a single one
            link.sendall(body[i : i + 1])
            assert not ends(link)
        link.settimeout(60)
        assert received(link).startswith(b"HTTP/1.1 200 ")


def test_the_rest_of_a_body_that_nobody_wants_is_not_waited_for(hasty: Served) -> None:
    with hasty.connected() as link:
        link.sendall(
            b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

        def more() -> bool:
            try:
                link.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
                return not link.recv(65536)
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        link.settimeout(0.05)
        eventually(more)


def test_a_reader_that_takes_nothing_is_given_up_and_others_are_not(hasty: Served) -> None:
    body = json.dumps(
        {"prompt": "a", "max_tokens": 4000, "seed": 1, "ignore_eos": True, "stream": True,
         "logprobs": 5}
    ).encode()  # fmt: skip
    with hasty.connected() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        link.sendall(ASK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        eventually(lambda: hasty.jobs > 0)
        answer = hasty.http().post("/v1/completions", json={"prompt": "a", "max_tokens": 2})
        assert answer.status_code == 200
        eventually(lambda: any(each.completion_tokens > 2 for each in hasty.entries()))
    dropped = next(each for each in hasty.entries() if each.completion_tokens > 2)
    assert (dropped.status, dropped.error) == (499, "ClientDisconnect")
    assert dropped.completion_tokens < 4000
    assert hasty.jobs == 0


def test_one_connection_too_many_is_told_to_come_back(hasty: Served) -> None:
    links = [hasty.connected() for _ in range(4)]
    try:
        answer = hasty.raw(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: 1" in head
        assert json.loads(body)["error"]["type"] == "rate_limit_error"
        more = [hasty.connected() for _ in range(ABRUPT + 1)]
        links += more
        eventually(lambda: any(ends(link) for link in more))
    finally:
        for link in links:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.close()
    http = hasty.http()
    eventually(lambda: http.get("/live").status_code == 200)
