"""Word, PowerPoint and Excel files: what people wrote in them, in the order in which it is read.

Slides and sheets are pages. A row of a table is a line, its cells separated by ``|``. Formulas give
the value that was saved with them. The archive is looked at before it is unpacked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from studiolo.errors import MalformedFileError, MissingExtraError
from studiolo.retrieval.document import Extract, Growing
from studiolo.retrieval.readers.archive import checked_archive

MAX_CELLS = 1_000_000
"""Of all sheets of a file."""


def read_docx(data: bytes) -> Extract:
    """Paragraphs and tables of a Word file; styles ``Title`` and ``Heading N`` make headings."""
    docx = _imported("docx")
    archive = checked_archive(data, "word/document.xml")
    out = Growing()
    with _blaming("Word"):
        for block in docx.Document(archive).iter_inner_content():
            if hasattr(block, "rows"):
                _table(block.rows, out)
            else:
                out.line(block.text, _level(block.style.name if block.style else ""))
                out.line("")
    return out.extract()


def read_pptx(data: bytes) -> Extract:
    """Slides in order: the title as a heading, every text and table, and the speaker's notes."""
    pptx = _imported("pptx")
    archive = checked_archive(data, "ppt/presentation.xml")
    out = Growing()
    with _blaming("PowerPoint"):
        for slide in pptx.Presentation(archive).slides:
            out.page()
            title = slide.shapes.title
            if title is not None and title.text.strip():
                out.line(title.text, 1)
            for shape in _shapes(slide.shapes):
                if title is not None and shape.shape_id == title.shape_id:
                    continue
                if shape.has_text_frame and shape.text_frame.text.strip():
                    out.line(shape.text_frame.text)
                elif getattr(shape, "has_table", False):
                    _table(shape.table.rows, out)
            if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame):
                out.line(notes.text)
    return out.extract()


def read_xlsx(data: bytes) -> Extract:
    """Sheets in order, each under its name as a heading; rows without a value are left out."""
    openpyxl = _imported("openpyxl")
    archive = checked_archive(data, "xl/workbook.xml")
    out, cells = Growing(), 0
    with _blaming("Excel"):
        book = openpyxl.load_workbook(archive, read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            out.page()
            out.line(sheet.title, 1)
            # A sheet may claim a million empty rows; the size it tells is not to be trusted.
            sheet.reset_dimensions()
            for row in sheet.iter_rows(values_only=True):
                cells += len(row)
                if cells > MAX_CELLS:
                    raise MalformedFileError(f"has more than {MAX_CELLS:,} cells")
                _row(("" if each is None else str(each) for each in row), out)
    return out.extract()


def _imported(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise MissingExtraError("reading office files", "retrieval") from None


@contextmanager
def _blaming(program: str) -> Iterator[None]:
    try:
        yield
    except MalformedFileError:
        raise
    except Exception as error:  # the libraries raise whatever the damage leads to
        why = f"{type(error).__name__}: {error}"
        raise MalformedFileError(f"is no {program} file that can be read: {why:.200}") from None


def _level(style: str | None) -> int | None:
    if style == "Title":
        return 1
    found = re.fullmatch(r"Heading ([1-9])", style or "")
    return int(found[1]) if found else None


def _shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    """Every shape, those of groups among them."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _table(rows: Iterable[Any], out: Growing) -> None:
    for row in rows:
        _row((cell.text for cell in row.cells), out)
    out.line("")


def _row(cells: Iterable[str], out: Growing) -> None:
    said = [" ".join(cell.split()) for cell in cells]
    while said and not said[-1]:
        said.pop()
    if said:
        out.line(" | ".join(said))
