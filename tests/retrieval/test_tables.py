from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from studiolo.retrieval.chunking import Chunk
from studiolo.retrieval.document import Document, Extract
from studiolo.retrieval.facts import Facts
from studiolo.retrieval.tables import (
    facts_values,
    indexed_text,
    key_of,
    passages_schema,
    rows,
    table,
    text_key,
    texts_schema,
    type_of_column,
)
from tests.retrieval.small import document

TEXT = "# House\n\nIt stands.\n\nIt falls."
CHUNKS = [Chunk(0, 19, 0, 30, ("House",)), Chunk(21, 30, 0, 30, ("House",))]


def test_headings_stand_before_a_passage_unless_it_has_them() -> None:
    made = document(TEXT)
    assert indexed_text(made, CHUNKS[0]) == ("# House\n\nIt stands.", 0)
    assert indexed_text(made, CHUNKS[1]) == ("House\nIt falls.", 6)


def test_rows_become_a_table_of_the_schema() -> None:
    made = Document("a/b.md", "f" * 64, "markdown", Extract(TEXT, pages=(0, 21)))
    said = list(rows(made, CHUNKS, Facts(("hr",), {"year": 2024.0})))
    schema = passages_schema(2).append(pa.field("meta_year", pa.float64()))
    found = table(schema, said, np.array([[1, 0], [0, 1]], np.float32)).to_pylist()
    assert [row["number"] for row in found] == [0, 1]
    assert [row["page"] for row in found] == [1, 2]
    assert [row["vector"] for row in found] == [[1, 0], [0, 1]]
    assert {row["document"] for row in found} == {key_of("a/b.md")}
    assert len({row["id"] for row in found}) == 2
    for row, chunk in zip(found, CHUNKS, strict=True):
        assert row["indexed"][row["lead"] :] == TEXT[row["start"] : row["end"]]
        assert (row["start"], row["end"]) == (chunk.start, chunk.end)
        assert (row["everyone"], row["access"], row["meta_year"]) == (False, ["hr"], 2024)


def test_headings_without_room_are_left_out() -> None:
    made = document(TEXT)
    found = list(rows(made, CHUNKS, Facts(), lambda text: len(text) < 10))
    assert [(row["indexed"], row["lead"]) for row in found] == [
        ("# House\n\nIt stands.", 0),
        ("It falls.", 0),
    ]


def test_ids_change_with_the_file() -> None:
    one = Document("a.md", "0" * 64, "markdown", Extract(TEXT))
    other = Document("a.md", "1" * 64, "markdown", Extract(TEXT))
    ids = [{row["id"] for row in rows(each, CHUNKS, Facts())} for each in (one, other)]
    assert not ids[0] & ids[1]
    assert text_key(one) == text_key(other)
    assert text_key(one) != text_key(Document("a.md", "0", "pdf", Extract(TEXT, pages=(0,))))


def test_facts_say_who_may_see() -> None:
    assert facts_values(Facts())["everyone"] is True
    nobody = facts_values(Facts(()))
    assert (nobody["everyone"], nobody["access"]) == (False, None)


@pytest.mark.parametrize(
    ("column", "own"),
    [
        (pa.bool_(), "truth"),
        (pa.float64(), "number"),
        (pa.string(), "text"),
        (pa.list_(pa.string()), "texts"),
    ],
)
def test_columns_have_types(column: object, own: str) -> None:
    assert type_of_column(column) == own
    assert texts_schema().names == ["key", "text", "pages"]
