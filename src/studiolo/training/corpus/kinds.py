"""Which reader reads a file: by the source's ``kind``, or by the file's name.

The one place that knows all readers. ``.gz`` at the end of a name is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.captions import METADATA, PICTURES, read_captions
from studiolo.training.corpus.readers.debian import read_debian
from studiolo.training.corpus.readers.html import read_html
from studiolo.training.corpus.readers.pdf import read_pdf
from studiolo.training.corpus.readers.plain import pieces, read_plain
from studiolo.training.corpus.readers.reading import Fields, Reader, Row
from studiolo.training.corpus.readers.rows import read_csv, read_jsonl, read_parquet

Kind: TypeAlias = Literal[
    "text", "markdown", "code", "html", "pdf", "jsonl", "csv", "parquet", "captions", "debian"
]
SUFFIXES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "text": (".txt", ".text"),
        "markdown": (".md", ".markdown", ".rst"),
        "code": (
            *(".py", ".pyi", ".c", ".h", ".cc", ".cpp", ".hpp", ".java", ".js", ".ts", ".go"),
            *(".rs", ".rb", ".php", ".cs", ".swift", ".kt", ".scala", ".sh", ".sql", ".lua"),
            *(".r", ".jl", ".hs", ".pl"),
        ),
        "html": (".html", ".htm", ".xhtml"),
        "pdf": (".pdf",),
        "jsonl": (".jsonl", ".ndjson"),
        "csv": (".csv", ".tsv"),
        "parquet": (".parquet",),
        "captions": PICTURES,
        "debian": (),
    }
)
PLAIN: tuple[Kind, ...] = ("text", "markdown", "code")
WEB: tuple[Kind, ...] = ("html", "jsonl", "parquet")
"""Kinds that are pages of the web as a rule, for which the rules of C4 and FineWeb were made."""
NO_PROSE: tuple[Kind, ...] = ("code", "captions")
"""Kinds that no rule about prose fits."""
_READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "html": read_html,
        "pdf": read_pdf,
        "jsonl": read_jsonl,
        "csv": read_csv,
        "parquet": read_parquet,
        "captions": read_captions,
        "debian": read_debian,
    }
)


def kind_of(path: Path) -> Kind | None:
    """The kind that the file's name tells, or None."""
    suffixes = [each.lower() for each in path.suffixes[-2:]]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    return next((kind for kind, known in SUFFIXES.items() if last in known), None)


def belongs(path: Path, kind: Kind) -> bool:
    """Whether a file that lies in a folder of that ``kind`` is one of its own."""
    if kind == "debian" or (kind == "captions" and path.name == METADATA):
        return True
    return kind_of(path) == kind


def read(
    path: Path, kind: Kind, fields: Fields, longest: int, separator: str | None
) -> Iterator[Row | Unreadable]:
    """The documents of one file, none longer than ``longest`` characters.

    Raises what the kind's reader raises.
    """
    if kind in PLAIN:
        yield from read_plain(path, longest, separator)
        return
    for row in _READERS[kind](path, fields):
        if isinstance(row, Unreadable) or len(row.text) <= longest:
            yield row
            continue
        for number, text in enumerate(pieces([row.text], longest), 1):
            part = f"{row.part}#{number}" if row.part else str(number)
            yield Row(text, part, row.licence, row.image)
