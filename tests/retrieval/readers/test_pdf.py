from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError
from studiolo.retrieval.readers import pdf as reader
from studiolo.retrieval.readers.pdf import read_pdf
from tests.retrieval.small import pdf, refused


def test_pages_keep_their_numbers() -> None:
    found = read_pdf(pdf("After the rain", "", "the streets were wet"))
    assert [found.page(found.text.index(word)) for word in ("After", "streets")] == [1, 3]
    assert len(found.pages) == 3
    assert found.text[found.pages[2] :].strip() == "the streets were wet"


def test_a_scan_and_a_locked_file_are_refused_with_a_remedy() -> None:
    from pypdf import PdfReader, PdfWriter

    with refused("2 pages and no text: it seems to be a scan\nLet a text recognition"):
        read_pdf(pdf("", ""))
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf("secret"))))
    writer.encrypt("password", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    with refused("locked by a password"):
        read_pdf(out.getvalue())


def test_a_text_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_CHARACTERS", 30)
    with refused("more than 30 characters"):
        read_pdf(pdf("a line of some length", "and another one"))


WHOLE = pdf("After the rain", "the streets were wet")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.booleans())
def test_a_damaged_file_is_read_or_refused(place: int, byte: int, cut: bool) -> None:
    data = WHOLE[:place] if cut else WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]
    try:
        found = read_pdf(data)
        assert all(0 <= page <= len(found.text) for page in found.pages)
    except MalformedFileError:
        return
