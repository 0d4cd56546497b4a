from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError, SourceError
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers import rows
from studiolo.training.corpus.readers.reading import Fields, Row
from studiolo.training.corpus.readers.rows import read_csv, read_jsonl, read_parquet
from tests.training.corpus.small import refused

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=20)


def test_lines_that_are_no_documents_are_told_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\n\n{"text": 1}\n[1]\n{"te\n{"text": "b"}')
    found = list(read_jsonl(path, Fields()))
    assert [each for each in found if isinstance(each, Row)] == [Row("a", "1"), Row("b", "6")]
    told = {each.identity: each.why for each in found if isinstance(each, Unreadable)}
    assert list(told) == ["3", "4", "5"]
    assert "holds int, no text" in told["3"]
    assert told["4"] == "is no JSON object, but list"
    assert told["5"].startswith("is no JSON: ")


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LONGEST", 20)
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n' + " " * 21, encoding="utf-8")
    with pytest.raises(MalformedFileError, match="row 2: is longer than 20 bytes"):
        list(read_jsonl(path, Fields()))


@settings(deadline=None)
@given(st.lists(st.tuples(CELL, CELL), max_size=6), st.sampled_from(["csv", "tsv"]))
def test_csv_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], kind: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / f"a.{kind}"
    written = io.StringIO()
    writer = csv.writer(written, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
    writer.writerows([("id", "text"), *cells])
    path.write_text(written.getvalue(), encoding="utf-8", newline="")
    found = list(read_csv(path, Fields(identity="id")))
    assert found == [Row(text, name) for name, text in cells]


def test_a_long_field_and_a_short_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,n\n{'x' * 200_000},1\nonly\n", encoding="utf-8")
    long, short = read_csv(path, Fields())
    assert isinstance(long, Row)
    assert len(long.text) == 200_000
    assert short == Unreadable("2", "has 1 fields and the first row 2")
    path.write_text('text\n"never closed\n', encoding="utf-8")
    with pytest.raises(MalformedFileError, match="is no CSV"):
        list(read_csv(path, Fields()))


def test_parquet_is_read_in_portions(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"text {n}" if n != 500 else None for n in range(1000)]
    table = pa.table({"text": texts, "other": list(range(1000)), "licence": ["MIT"] * 1000})
    pq.write_table(table, path, row_group_size=300)
    found = list(read_parquet(path, Fields(licence="licence", identity="other")))
    assert len(found) == 1000
    assert found[0] == Row("text 0", "0", "MIT")
    assert found[999] == Row("text 999", "999", "MIT")
    assert isinstance(found[500], Unreadable)
    with pytest.raises(MalformedFileError, match="no column 'body'; there are: text, other"):
        list(read_parquet(path, Fields(("body",))))
    with pytest.raises(SourceError, match="No such file"):
        list(read_parquet(tmp_path / "none.parquet", Fields()))


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_are_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    sound = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b"]}), sound)
    for name, content in (
        ("a.jsonl", data),
        ("a.csv", b"text\n" + data),
        ("a.parquet", data),
        ("b.parquet", sound.getvalue()[:cut] + data + sound.getvalue()[cut:]),
        ("b.jsonl", json.dumps({"text": "a"}).encode()[:cut] + data),
    ):
        path = folder / name
        path.write_bytes(content)
        reader = {".jsonl": read_jsonl, ".csv": read_csv, ".parquet": read_parquet}[path.suffix]
        why = refused(lambda reader=reader, path=path: reader(path, Fields()))  # type: ignore[misc]
        assert why is None or name in why
