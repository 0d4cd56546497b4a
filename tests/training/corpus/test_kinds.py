from __future__ import annotations

from pathlib import Path

import pytest

from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.kinds import belongs, kind_of, read
from studiolo.training.corpus.readers.reading import Fields, Row


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text"),
        ("a.TXT.gz", "text"),
        ("README.md", "markdown"),
        ("a.py", "code"),
        ("a.htm", "html"),
        ("a.b.jsonl.gz", "jsonl"),
        ("a.tsv", "csv"),
        ("a.png", "captions"),
        ("a.gz", None),
        ("a", None),
        (".txt", None),
        ("a.bin", None),
    ],
)
def test_a_name_tells_the_kind(name: str, kind: str | None) -> None:
    assert kind_of(Path(name)) == kind


def test_what_belongs_to_a_folder_of_a_kind() -> None:
    assert belongs(Path("metadata.jsonl"), "captions")
    assert belongs(Path("Translation-en"), "debian")
    assert not belongs(Path("a.txt"), "captions")


def test_what_is_longer_than_is_allowed_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one two three"}\n{"text": "four"}\nno\n', encoding="utf-8")
    rows = list(read(path, "jsonl", Fields(), 8, None))
    assert rows[:3] == [Row("one two ", "1#1"), Row("three", "1#2"), Row("four", "2")]
    assert isinstance(rows[3], Unreadable)
