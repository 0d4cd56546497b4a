"""What tests of retrieval share: an embedder of words, files made by hand, an index in a moment."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from studiolo.errors import MalformedFileError
from studiolo.retrieval.chunking import Chunking
from studiolo.retrieval.document import Document, Extract
from studiolo.retrieval.embedder import Vectors
from studiolo.retrieval.facts import Rules
from studiolo.retrieval.index import Index
from studiolo.retrieval.indexing import Outcome, update
from studiolo.retrieval.settings import Settings
from studiolo.retrieval.words import content


class Words:
    """An embedder without a model: each content word is a direction of its own, by its digest."""

    name, digest, width = "words", "d" * 64, 64

    def __init__(self) -> None:
        self.embedded = 0

    def fits(self, text: str) -> bool:
        """Of everything that is not huge."""
        return len(text) < 2000

    def embed(
        self, texts: Sequence[str], report: Callable[[int], None] = lambda done: None
    ) -> Vectors:
        """The sum of the words' directions, scaled to length 1."""
        self.embedded += len(texts)
        rows = [self._one(text) for text in texts]
        report(len(texts))
        return np.stack(rows) if rows else np.empty((0, self.width), np.float32)

    def _one(self, text: str) -> Vectors:
        vector = np.zeros(self.width)
        for word in content(text) or ["nothing"]:
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            vector += np.random.default_rng(seed).standard_normal(self.width)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def document(text: str, kind: str = "markdown", source: str = "a.md") -> Document:
    """A document that was read, of that text."""
    return Document(source, "0" * 64, kind, Extract(text))


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Put files, by their paths, into a folder."""
    for name, content_ in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_ if isinstance(content_, bytes) else content_.encode())
    return folder


def indexed(
    folder: Path,
    files: Mapping[str, str | bytes] | None = None,
    rules: Mapping[str, object] | None = None,
    name: str = "small",
    embedder: Words | None = None,
) -> tuple[Index, Outcome]:
    """An index of what lies in ``folder``, after ``files`` were put there."""
    folder.mkdir(exist_ok=True)
    write(folder, files or {})
    embedder = embedder or Words()
    index = Index.create(name, Settings.of(embedder, Chunking(size=300, overlap=60)))
    said = None if rules is None else Rules.model_validate(rules)
    return index, update(index, folder, embedder, rules=said)


@contextmanager
def refused(saying: str) -> Iterator[None]:
    """A file is refused as malformed, with these words."""
    with pytest.raises(MalformedFileError, match=saying):
        yield


def pdf(*pages: str) -> bytes:
    """A PDF written by hand, one line of text a page (ISO 32000-1, annex H.2)."""
    kids = " ".join(f"{3 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
    ]
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    for i, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET" if text else ""
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents {4 + 2 * i} 0 R "
            f"/Resources << /Font << /F1 {font} >> >> >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    data, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{each}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode()


def docx(*paragraphs: tuple[str, str], rows: Sequence[Sequence[str]] = ()) -> bytes:
    """A Word file of (style, text), and a table after them."""
    from docx import Document as Word

    made = Word()
    for style, text in paragraphs:
        made.add_paragraph(text, style=style)
    if rows:
        table = made.add_table(len(rows), len(rows[0]))
        for row, texts in zip(table.rows, rows, strict=True):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()
