from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.training.characters import alphabet, character_tokenizer
from studiolo.training.recipe import DataRecipe
from studiolo.training.source import read_source
from tests.training.small import TEXT, text_file

NAIVE = "naïve — 🎭\n" * 9


def test_a_text_becomes_its_characters(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(NAIVE, encoding="utf-8")
    source = read_source(DataRecipe(path=str(path), licence="CC0-1.0"))
    assert source.tokenizer.decode(source.tokens.ids.tolist()) == NAIVE
    assert source.digest == hashlib.sha256(NAIVE.encode()).hexdigest()
    assert source.licence == "CC0-1.0"


def test_a_tokenizer_may_be_given(tmp_path: Path) -> None:
    character_tokenizer(alphabet("etaoinsh ")).save(tmp_path / "tokenizer")
    path = text_file(tmp_path)
    source = read_source(DataRecipe(path=str(path), tokenizer=str(tmp_path / "tokenizer")))
    assert source.tokenizer.vocab_size == len("etaoinsh ") + 1
    assert len(source.tokens) == len(TEXT)


@pytest.mark.parametrize(
    ("data", "message"),
    [(None, "cannot be read"), (b"", "is empty"), (b"a\xff", "byte 1 is 0xff")],
)
def test_what_is_no_text_is_refused_by_name(
    tmp_path: Path, data: bytes | None, message: str
) -> None:
    path = tmp_path / "x"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InvalidRequestError, match=message) as caught:
        read_source(DataRecipe(path=str(path)))
    assert caught.value.field == "data.path"


def test_no_path_says_how_to_give_one() -> None:
    with pytest.raises(InvalidRequestError, match=r"--set data\.path=FILE"):
        read_source(DataRecipe())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "x"
    path.write_bytes(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if text:
        source = read_source(DataRecipe(path=str(path)))
        assert source.tokenizer.decode(source.tokens.ids.tolist()) == text
    else:
        with pytest.raises(InvalidRequestError, match=r"^data\.path"):
            read_source(DataRecipe(path=str(path)))
