from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.examined import examined_in, texts_of
from studiolo.training.corpus.recipe import StepsRecipe

ROW = {"id": 7, "question": "Who?", "choices": ["Ada", {"b": "Grace"}]}


def test_every_text_of_a_row_counts(tmp_path: Path) -> None:
    lines, table = tmp_path / "e.jsonl", tmp_path / "e.csv"
    lines.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    assert list(texts_of(lines)) == ["Who?", "Ada", "Grace"]
    table.write_text("question,answer\nWho?,Ada\n", encoding="utf-8")
    assert list(texts_of(table)) == ["Who?", "Ada"]
    columns = tmp_path / "e.parquet"
    pq.write_table(pa.table({"id": [1], "question": ["Who?"]}), columns)
    assert list(texts_of(columns)) == ["Who?"]
    plain = tmp_path / "e.txt"
    plain.write_text("One long text.\n", encoding="utf-8")
    assert list(texts_of(plain)) == ["One long text.\n"]


def test_what_cannot_be_compared_with_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="is no file"):
        list(texts_of(tmp_path / "none.jsonl"))
    (tmp_path / "e.bin").write_bytes(b"")
    with pytest.raises(InvalidRequestError, match="does not tell"):
        list(texts_of(tmp_path / "e.bin"))
    (tmp_path / "e.jsonl").write_text("no\n", encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="row 1: is no JSON"):
        list(texts_of(tmp_path / "e.jsonl"))


def test_an_evaluation_set_is_read_once_for_all_kinds(tmp_path: Path) -> None:
    path = tmp_path / "e.txt"
    path.write_text("one two three four five six seven eight nine", encoding="utf-8")
    with_it = StepsRecipe.model_validate({"decontaminate": {"against": [str(path)]}})
    off = StepsRecipe.model_validate({"decontaminate": {"against": ["x"], "apply": False}})
    found = examined_in([with_it, with_it, off, StepsRecipe()])
    assert list(found) == [with_it.decontaminate]
    assert {n: len(runs) for n, runs in found[with_it.decontaminate].runs.items()} == {9: 1}
