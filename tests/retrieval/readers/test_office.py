from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError
from studiolo.retrieval.document import Extract
from studiolo.retrieval.readers import office
from studiolo.retrieval.readers.office import read_docx, read_pptx, read_xlsx
from tests.retrieval.small import docx, refused


def pptx() -> bytes:
    from pptx import Presentation
    from pptx.util import Inches

    made = Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text = "Rain"
    first.placeholders[1].text = "Streets get wet."
    first.notes_slide.notes_text_frame.text = "Speak slowly."
    second = made.slides.add_slide(made.slide_layouts[5])
    second.shapes.title.text = "Numbers"
    table = second.shapes.add_table(1, 2, 0, Inches(2), Inches(4), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "depth", "3 mm"
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def xlsx() -> bytes:
    from openpyxl import Workbook

    made = Workbook()
    sheet = made.active
    sheet.title = "Rooms"
    for row in (["Room", "Size", None], [None, None, None], ["Study", 12.5, None]):
        sheet.append(row)
    made.create_sheet("Garden").append(["Tree", True])
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


WORD = docx(
    ("Title", "The house"),
    ("Normal", "It stands by the river."),
    ("Heading 2", "Rooms"),
    ("Normal", "There are two."),
    rows=[["Room", "Size"], ["Study", "12"]],
)


def test_word_gives_paragraphs_tables_and_headings() -> None:
    found = read_docx(WORD)
    assert [line for line in found.text.split("\n") if line] == [
        *("The house", "It stands by the river.", "Rooms", "There are two."),
        *("Room | Size", "Study | 12"),
    ]
    assert [(h.level, h.title) for h in found.headings] == [(1, "The house"), (2, "Rooms")]
    assert found.pages == ()


def test_slides_are_pages() -> None:
    found = read_pptx(pptx())
    assert [found.page(found.text.index(word)) for word in ("Rain", "Speak", "depth")] == [1, 1, 2]
    assert "Streets get wet." in found.text
    assert "depth | 3 mm" in found.text
    assert [h.title for h in found.headings] == ["Rain", "Numbers"]


def test_sheets_are_pages_without_empty_rows() -> None:
    found = read_xlsx(xlsx())
    assert found.text == "Rooms\nRoom | Size\nStudy | 12.5\n\nGarden\nTree | True\n"
    assert found.page(found.text.index("Tree")) == 2
    assert [h.title for h in found.headings] == ["Rooms", "Garden"]


def test_too_many_cells_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "MAX_CELLS", 3)
    with refused("more than 3 cells"):
        read_xlsx(xlsx())


def test_one_kind_is_not_taken_for_another() -> None:
    with refused("no part 'word/document.xml'"):
        read_docx(xlsx())


@pytest.mark.parametrize(
    ("reader", "whole"), [(read_docx, WORD), (read_pptx, pptx()), (read_xlsx, xlsx())]
)
def test_damaged_files_are_read_or_refused(
    reader: Callable[[bytes], Extract], whole: bytes
) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, len(whole) - 1), st.integers(0, 255), st.booleans())
    def damaged(place: int, byte: int, cut: bool) -> None:
        data = whole[:place] if cut else whole[:place] + bytes([byte]) + whole[place + 1 :]
        try:
            assert isinstance(reader(data), Extract)
        except MalformedFileError:
            return

    damaged()
