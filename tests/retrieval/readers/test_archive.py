from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError
from studiolo.retrieval.readers import archive
from studiolo.retrieval.readers.archive import checked_archive
from tests.retrieval.small import refused


def packed(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name.replace("_", "."), data)
    return out.getvalue()


def test_a_harmless_archive_is_given_as_it_is() -> None:
    data = packed(a_xml=b"<a/>", b_txt=b"hello")
    assert checked_archive(data, "a.xml").read() == data


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed(a_xml=b" " * (8 << 20))
    assert len(bomb) < 10_000
    several = packed(a_xml=b"", b_xml=b"")
    opened: list[str] = []
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda self, name: opened.append(name))
    with refused("looks like a bomb"):
        checked_archive(bomb, "a.xml")
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1 << 20)
    with refused("unpacks to 8,388,608 bytes, more than 1,048,576"):
        checked_archive(bomb, "a.xml")
    monkeypatch.setattr(archive, "MAX_MEMBERS", 1)
    with refused("has 2 parts, more than 1"):
        checked_archive(several, "a.xml")
    assert opened == []


def test_a_directory_that_lies_about_sizes_gives_no_more_than_it_said() -> None:
    """The size in the directory is made smaller; reading stops there, and the sum is wrong."""
    data = bytearray(packed(a_xml=b" " * (1 << 20)))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    with refused("is damaged"):
        checked_archive(bytes(data), "a.xml")


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE a [<!ENTITY b 'x'>]><a/>",
        "<?xml?>\n<!doctype a><a/>",
        f"<!--{'x' * 9000}--><!DOCTYPE a><a/>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_document_types_are_refused(text: str, encoding: str) -> None:
    with refused("declares a document type"):
        checked_archive(packed(a_xml=text.encode(encoding)), "a.xml")


def test_what_is_missing_or_no_archive_is_said() -> None:
    with refused("has no part 'word/document.xml'"):
        checked_archive(packed(a_xml=b"<a/>"), "word/document.xml")
    with refused("is damaged"):
        checked_archive(b"PK\x03\x04 not really", "a.xml")


WHOLE = packed(a_xml=b"<a>" + b"wet streets " * 40 + b"</a>")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_damaged_archive_is_given_or_refused(place: int, byte: int) -> None:
    data = WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]
    try:
        given = checked_archive(data, "a.xml")
    except MalformedFileError:
        return
    assert given.read() == data
