"""Our frames, read by botocore, however they are cut into pieces."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from botocore.eventstream import (  # type: ignore[import-untyped]
    EventStreamBuffer,
    EventStreamMessage,
    ParserError,
)
from hypothesis import given
from hypothesis import strategies as st

from studiolo.server.bedrock.framing import event, exception, message

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAMES = st.text(st.characters(max_codepoint=126), min_size=1, max_size=20)
HEADERS = st.dictionaries(NAMES, TEXTS, max_size=5)
MESSAGES = st.lists(st.tuples(HEADERS, st.binary(max_size=200)), min_size=1, max_size=4)


def decoded(pieces: Sequence[bytes]) -> list[EventStreamMessage]:
    buffer = EventStreamBuffer()
    found = []
    for piece in pieces:
        buffer.add_data(piece)
        found += list(buffer)
    return found


@given(MESSAGES, st.data())
def test_any_messages_in_any_pieces(
    messages: list[tuple[dict[str, str], bytes]], data: st.DataObject
) -> None:
    stream = b"".join(message(headers, payload) for headers, payload in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    bounds = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(bounds)]
    assert [(each.headers, each.payload) for each in decoded(pieces)] == messages


def test_every_split_of_every_event() -> None:
    stream = event("chunk", {"bytes": "YWJj"}) + exception("throttlingException", {"message": "ü"})
    for at in range(len(stream) + 1):
        first, second = decoded([stream[:at], stream[at:]])
        assert first.headers == {
            ":event-type": "chunk",
            ":content-type": "application/json",
            ":message-type": "event",
        }
        assert json.loads(first.payload) == {"bytes": "YWJj"}
        assert second.headers[":exception-type"] == "throttlingException"
        assert second.headers[":message-type"] == "exception"
        assert second.to_response_dict()["status_code"] == 400
    assert len(decoded([bytes([byte]) for byte in stream])) == 2


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    whole = event("metadata", {"usage": {"inputTokens": 1}})
    # Past the length of the whole: a longer one is waited for.
    at = data.draw(st.integers(4, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    with pytest.raises(ParserError):
        decoded([whole[:at] + bytes([byte]) + whole[at + 1 :]])


def test_the_bytes_of_a_message() -> None:
    """As the format's page has them: no headers, and the payload ``{'foo':'bar'}``."""
    payload = b"{'foo':'bar'}"
    assert message({}, payload) == bytes.fromhex(
        "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936"
    )
    with_header = message({"a": "b"}, b"")
    total, headers, checked = struct.unpack(">III", with_header[:12])
    assert (total, headers, checked) == (len(with_header), 6, zlib.crc32(with_header[:8]))
    assert with_header[12:18] == b"\x01a\x07\x00\x01b"
