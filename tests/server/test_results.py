"""The two files of a batch: what went well, what did not, in the order of the lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studiolo.record.batches import Batch
from studiolo.record.database import Database
from studiolo.record.uploads import Uploads
from studiolo.server.results import publish, split
from studiolo.task.batch import Line


def result(number: int, status: int | None) -> bytes:
    response = None if status is None else {"status_code": status}
    error = {"code": "x"} if status is None else None
    id = f"batch_req_{number}"
    return json.dumps({"id": id, "response": response, "error": error}).encode()


LINES = [result(3, 200), result(1, 200), result(2, 400), result(10, None)]
BATCH = Batch("batch_1", None, "/v1/completions", "file-1", "finalizing", 0.0, 1.0, {})


def test_good_and_bad_are_apart_and_in_order(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_bytes(b"".join(line + b"\n" for line in LINES) + b'{"id": "batch_req_4')
    good, bad = split(journal)
    assert good == [LINES[1], LINES[0]]
    assert bad == [LINES[2], LINES[3]]


def test_what_was_not_answered_has_expired(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(LINES[0] + b"\n")
    good, bad = split(tmp_path / "journal", [Line(3, "c"), Line(4, "d")])
    assert good == [LINES[0]]
    (expired,) = map(json.loads, bad)
    assert (expired["id"], expired["custom_id"]) == ("batch_req_4", "d")
    assert expired["response"] is None
    assert expired["error"]["code"] == "batch_expired"


def test_nothing_was_answered(tmp_path: Path) -> None:
    assert split(tmp_path / "journal") == ([], [])


@pytest.mark.parametrize("twice", [False, True])
def test_the_files_are_the_same_when_they_are_made_again(tmp_path: Path, twice: bool) -> None:
    database = Database.open(str(tmp_path / "records.db"))
    uploads = Uploads(database, tmp_path / "files")
    found: dict[str, Any] = {}
    for _ in range(1 + twice):
        found = publish(uploads, BATCH, [b"a", b"b"], [b"c"])
    assert set(found) == {"output_file", "error_file"}
    assert len(uploads.list(None)) == 2
    output = uploads.find(found["output_file"], None)
    assert output is not None
    assert (output.filename, output.purpose) == ("batch_1_output.jsonl", "batch_output")
    assert uploads.path(output).read_bytes() == b"a\nb\n"
    assert publish(uploads, BATCH, [], []) == {}
    database.close()
