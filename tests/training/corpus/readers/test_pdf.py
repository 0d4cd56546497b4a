from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError
from studiolo.training.corpus.readers.pdf import read_pdf
from studiolo.training.corpus.readers.reading import Fields, Row
from tests.retrieval.small import pdf
from tests.training.corpus.small import refused


def test_pages_are_paragraphs(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf("After the rain", "", "the streets were wet"))
    assert list(read_pdf(path, Fields())) == [Row("After the rain\n\nthe streets were wet")]


def test_a_scan_and_a_locked_file_are_refused_with_a_remedy(tmp_path: Path) -> None:
    from pypdf import PdfReader, PdfWriter

    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(""))
    with pytest.raises(MalformedFileError, match="1 pages and no text") as caught:
        list(read_pdf(path, Fields()))
    assert "text recognition" in str(caught.value)
    path.write_bytes(pdf("secret"))
    writer = PdfWriter(clone_from=PdfReader(path))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    with pytest.raises(MalformedFileError, match="locked by a password"):
        list(read_pdf(tmp_path / "locked.pdf", Fields()))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=30), st.integers(0, 700), st.booleans())
def test_any_damage_is_mended_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, place: int, cut: bool
) -> None:
    path = tmp_path_factory.mktemp("pdf") / "a.pdf"
    sound = pdf("After the rain")
    path.write_bytes(sound[:place] + data + (b"" if cut else sound[place + len(data) :]))
    why = refused(lambda: read_pdf(path, Fields()))
    assert why is None or "a.pdf" in why
