"""Server-sent events, cut anywhere and ended anyhow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import UpstreamError
from studiolo.task.remote import sse
from studiolo.task.remote.sse import EventReader, ServerEvent

TEXT = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))


def read(*pieces: bytes) -> list[ServerEvent]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.push(piece)]


def test_the_examples_of_the_standard() -> None:
    assert read(b"data: YHOO\ndata: +2\ndata: 10\n\n") == [ServerEvent("", "YHOO\n+2\n10")]
    stream = (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third\n\n"
    )
    assert [event.data for event in read(stream)] == ["first event", "second event", " third"]
    assert [event.data for event in read(b"data\n\ndata\ndata\n\ndata:")] == ["", "\n"]
    assert read(b"event: add\ndata: 73857293\n\n") == [ServerEvent("add", "73857293")]
    assert read(b"\xef\xbb\xbfdata: x\n\n") == [ServerEvent("", "x")]
    assert read(b"event: alone\n\ndata: y\n\n") == [ServerEvent("", "y")]
    assert read(b"data: \xff\n\n") == [ServerEvent("", "\ufffd")]


@given(
    st.lists(st.tuples(st.sampled_from(["", "name"]), st.lists(TEXT, min_size=1)), max_size=6),
    st.sampled_from(["\n", "\r", "\r\n"]),
    st.data(),
)
def test_however_it_is_cut_it_is_the_same(
    events: list[tuple[str, list[str]]], end: str, data: st.DataObject
) -> None:
    lines = []
    for name, texts in events:
        lines += [f"event: {name}"] if name else []
        lines += [f"data: {text}" for text in texts] + [": a comment", "retry: 9", ""]
    stream = "".join(line + end for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=9)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*pieces) == [ServerEvent(name, "\n".join(texts)) for name, texts in events]


@given(st.lists(st.binary()))
def test_no_bytes_break_it(pieces: list[bytes]) -> None:
    assert read(*pieces) == read(b"".join(pieces))


def test_an_endless_event_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST", 100)
    for piece in (b"x" * 30, b"data: " + b"x" * 20 + b"\n"):
        reader = EventReader()
        reader.push(piece)
        reader.push(piece)
        reader.push(piece)
        with pytest.raises(UpstreamError, match="more than 100 bytes"):
            reader.push(piece * 3)
    assert len(read(*[b"data: " + b"x" * 50 + b"\n\n"] * 20)) == 20
