"""TOML files of the operator's, and how their mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from studiolo.errors import MalformedFileError
from studiolo.task.remote.tables import LARGEST, read_tables


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int


def read(path: Path, text: str | bytes) -> dict[str, Thing]:
    file = path / "things.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_tables(file, "things", Thing, "docs/things.md")


def test_tables_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, "") == {}
    found = read(tmp_path, '[things.a]\r\nsize = 1\r\n[things."b.c"]\r\nsize = 2\r\n')
    assert {name: thing.size for name, thing in found.items()} == {"a": 1, "b.c": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("things = 3", "must be a table of tables"),
        ("[thing.a]\nsize = 1", r"only tables \[things.NAME\]"),
        ("[things.a]\nsize = 'x'", "things.a.size: .*integer"),
        ("[things.a]\nsize = 1\ncolour = 2", "things.a.colour: Extra"),
        ("[things]\na = 3", "things.a.top level"),
        ("[things.a]\nsize = }", "line 2"),
        (b"[things.a]\n# \xff\nsize = 1", "line 2 is not UTF-8"),
        ("x = " + "[" * 10_000, "nested too deeply|things.NAME"),
        ("#" * (LARGEST + 1), "larger than"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(MalformedFileError, match=reason) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "things.toml") in caught.value.message
    assert caught.value.remedy == "docs/things.md describes the format."


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MalformedFileError, match="cannot be read: No such file"):
        read_tables(tmp_path / "none.toml", "things", Thing, "docs/things.md")
