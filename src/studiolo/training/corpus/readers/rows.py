"""Rows of fields: JSON lines, CSV and Parquet.

Numbers of rows are counted from 1, as people count lines. CSV's first row names its columns.
Parquet is read in small portions of the columns that are asked for.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studiolo.errors import MalformedFileError, MissingExtraError, SourceError
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.reading import (
    LONGEST,
    Fields,
    Row,
    as_text,
    opened,
    row_of,
)

_PORTION = 256


def read_jsonl(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    """One JSON object a line; blank lines are passed over."""
    for part, value in json_values(path):
        if isinstance(value, Unreadable):
            yield value
        elif isinstance(value, dict):
            yield row_of(value, fields, part)
        else:
            yield Unreadable(part, f"is no JSON object, but {type(value).__name__}")


def read_csv(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    """One row a document, of the columns that the first row names; commas, or tabs in ``.tsv``."""
    for part, value in csv_values(path):
        yield value if isinstance(value, Unreadable) else row_of(value, fields, part)


def read_parquet(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    """One row a document."""
    wanted = [*fields.text, *(each for each in (fields.licence, fields.identity) if each)]
    for part, value in parquet_values(path, wanted):
        yield row_of(value, fields, part)


def json_values(path: Path) -> Iterator[tuple[str, Any]]:
    """Number and value of every line; a line that is none gives :class:`Unreadable`."""
    with opened(path) as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            part = str(number)
            if len(line) > LONGEST:
                raise MalformedFileError(f"{path}, row {part}: is longer than {LONGEST:,} bytes")
            if not line.strip():
                continue
            try:
                value = json.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            except (ValueError, RecursionError) as error:
                value = Unreadable(part, f"is no JSON: {error}")
            yield part, value


def csv_values(path: Path) -> Iterator[tuple[str, dict[str, str] | Unreadable]]:
    """Number and fields of every row; one with too many or too few gives :class:`Unreadable`."""
    # The limit is the process's own; a document is often longer than the default of 128 KiB.
    csv.field_size_limit(LONGEST)
    delimiter = "\t" if ".tsv" in path.suffixes else ","
    with as_text(path) as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            names = next(rows, None)
            if names is None:
                return
            for number, row in enumerate(rows, 1):
                part = str(number)
                if not row:
                    continue
                if len(row) != len(names):
                    why = f"has {len(row)} fields and the first row {len(names)}"
                    yield part, Unreadable(part, why)
                else:
                    yield part, dict(zip(names, row, strict=True))
        except csv.Error as error:
            raise MalformedFileError(f"{path}, line {rows.line_num}: is no CSV: {error}") from None


def parquet_values(path: Path, columns: list[str] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Number and fields of every row; only ``columns``, or all.

    Raises :class:`MissingExtraError` without pyarrow, and :class:`MalformedFileError` for a file
    that is no Parquet, or has not those columns.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("reading Parquet", "corpus") from None
    try:
        with pq.ParquetFile(path) as file:
            known = file.schema_arrow.names
            missing = [name for name in columns or () if name not in known]
            if missing:
                raise MalformedFileError(
                    f"{path}: there is no column {missing[0]!r}; there are: {', '.join(known[:20])}"
                )
            number = 0
            for portion in file.iter_batches(_PORTION, columns=columns):
                for value in portion.to_pylist():
                    number += 1
                    yield str(number), value
    except FileNotFoundError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise MalformedFileError(f"{path}: is no Parquet that can be read: {error}") from None
