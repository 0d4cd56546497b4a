from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError, MalformedFileError
from studiolo.retrieval.chunking import Chunking
from studiolo.retrieval.settings import NAME, Settings
from tests.retrieval.small import Words


def test_settings_come_back(tmp_path: Path) -> None:
    made = Settings.of(Words(), Chunking("fixed", 200, 50, 400))
    made.write(tmp_path)
    assert Settings.read(tmp_path) == made


def test_another_encoder_is_refused() -> None:
    other = Words()
    made = Settings.of(other, Chunking())
    made.check(other)
    other.digest = "e" * 64
    with pytest.raises(InvalidRequestError, match=r"model: the index was made with words \(dddd"):
        made.check(other)


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 2), ("width", 0), ("size", 5), ("way", "other"), ("more", 1), ("encoder", None)],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, key: str, value: object) -> None:
    Settings.of(Words(), Chunking()).write(tmp_path)
    said = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps(said | {key: value}))
    with pytest.raises(MalformedFileError, match="the index cannot be read") as caught:
        Settings.read(tmp_path)
    assert "--remove" in str(caught.value)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / NAME).write_bytes(data)
    with pytest.raises(MalformedFileError):
        Settings.read(folder)
