from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError
from studiolo.retrieval.readers.plain import read_plain
from tests.retrieval.small import refused


@given(st.text())
def test_every_character_stays_where_it_is(text: str) -> None:
    if "\0" in text:
        with refused("zero bytes"):
            read_plain(text.encode())
    else:
        assert read_plain(text.encode()).text == text


def test_line_ends_and_marks_are_characters_of_the_file() -> None:
    assert read_plain("\ufeffa\r\nb\rc".encode()).text == "\ufeffa\r\nb\rc"
    marked = codecs.BOM_UTF16_LE + "Zoë".encode("utf-16-le")
    assert read_plain(marked).text == "\ufeffZoë"


@pytest.mark.parametrize("data", ["Zoë".encode("latin-1"), b"\xff\xfea", b"caf\xc3"])
def test_other_encodings_are_refused_at_their_byte(data: bytes) -> None:
    with refused(r"is no text in UTF-(8|16-LE): byte \d"):
        read_plain(data)


@given(st.binary())
def test_any_bytes_give_text_or_our_error(data: bytes) -> None:
    try:
        assert "\0" not in read_plain(data).text
    except MalformedFileError:
        return
