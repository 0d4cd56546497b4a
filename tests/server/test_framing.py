"""However the bytes of a stream are cut on their way, every reader reads the same events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import httpx
import httpx2
import openai
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studiolo.server.replies import event, line
from tests.server.serving import Served

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ENDS = "\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | st.sampled_from(ENDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.none() | st.from_regex(r"[a-z_.]{1,20}", fullmatch=True)
Read = list[tuple[str, str]]


class Reader:
    """Server-sent events as WHATWG HTML 9.2.6 has them read, of whatever pieces."""

    def __init__(self) -> None:
        self.events: Read = []
        self._buffer, self._name, self._data = b"", "", ""

    def feed(self, piece: bytes) -> None:
        self._buffer += piece
        while b"\n" in self._buffer:
            raw, _, self._buffer = self._buffer.partition(b"\n")
            self._line(raw.removesuffix(b"\r").decode())

    def _line(self, text: str) -> None:
        if not text:
            if self._data:
                self.events.append((self._name or "message", self._data.removesuffix("\n")))
            self._name = self._data = ""
            return
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data += value + "\n"
        elif field == "event":
            self._name = value


def read(pieces: Sequence[bytes]) -> Read:
    reader = Reader()
    for piece in pieces:
        reader.feed(piece)
    return reader.events


def cut(whole: bytes, places: Sequence[int]) -> list[bytes]:
    """``whole`` in pieces, cut at ``places``."""
    bounds = [0, *sorted(place % (len(whole) + 1) for place in places), len(whole)]
    return [whole[a:b] for a, b in pairwise(bounds)]


@given(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=5), st.lists(st.integers(0, 10**6)))
@example([(None, "\u2028\x85\r\n\r\ndata: x\n\n")], [])
def test_events_are_read_as_they_were_written(
    written: list[tuple[str | None, Any]], places: list[int]
) -> None:
    whole = b"".join(event(value, name) for name, value in written)
    found = read(cut(whole, places))
    assert [name for name, _ in found] == [name or "message" for name, _ in written]
    assert [json.loads(data) for _, data in found] == [value for _, value in written]


@given(VALUES)
def test_every_cut_of_an_event_reads_the_same(value: Any) -> None:
    whole = event(value, "named")
    expected = read([whole])
    assert expected == [("named", line(value).decode())]
    for place in range(len(whole) + 1):
        assert read([whole[:place], whole[place:]]) == expected
    assert read([bytes([each]) for each in whole]) == expected


@given(st.lists(VALUES, max_size=5), st.lists(st.integers(0, 10**6)))
def test_lines_of_json_are_lines_for_readers_that_know_more_ends(
    values: list[Any], places: list[int]
) -> None:
    whole = b"".join(line(value) + b"\n" for value in values)
    response = httpx.Response(200, content=iter(cut(whole, places)))
    assert [json.loads(each) for each in response.iter_lines()] == values


@pytest.fixture(scope="module")
def streamed(served: Served) -> bytes:
    """A real stream, whole: a random model says all sorts of bytes."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": "é\u2028x"}], "seed": 11,
            "max_tokens": 40, "ignore_eos": True, "stream": True, "logprobs": True,
            "temperature": 3.0, "stream_options": {"include_usage": True}}  # fmt: skip
    return served.http().post("/v1/chat/completions", json=body).content


def seen(pieces: Sequence[bytes]) -> list[dict[str, Any]]:
    """The chunks that OpenAI's client makes of ``pieces``."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=iter(pieces))

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        openai.OpenAI(api_key="none", base_url="http://x/v1", http_client=http) as client,
        client.chat.completions.create(model="m", messages=[], stream=True) as stream,
    ):
        return [chunk.model_dump() for chunk in stream]


def test_the_clients_reader_sees_what_the_bare_one_does(streamed: bytes) -> None:
    chunks = [json.loads(data) for _, data in read([streamed])[:-1]]
    assert read([streamed])[-1] == ("message", "[DONE]")
    found = seen([streamed])
    assert len(found) == len(chunks)
    for ours, theirs in zip(chunks, found, strict=True):
        for name in ("id", "created", "model", "object", "system_fingerprint"):
            assert ours[name] == theirs[name]
    assert chunks[-1]["usage"]["completion_tokens"] == 40


@settings(max_examples=60, deadline=None)
@given(places=st.lists(st.integers(0, 10**6), max_size=60))
def test_the_client_sees_the_same_however_its_stream_is_cut(
    streamed: bytes, places: list[int]
) -> None:
    assert seen(cut(streamed, places)) == seen([streamed])


def test_every_cut_of_a_real_stream_is_read_the_same(streamed: bytes) -> None:
    expected = read([streamed])
    for place in range(len(streamed)):
        assert read([streamed[:place], streamed[place:]]) == expected
