from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.training.characters import alphabet, character_tokenizer
from studiolo.training.corpus.vocabulary import open_tokenizer
from studiolo.training.losses import IGNORED
from studiolo.training.recipe import DataRecipe
from studiolo.training.size import plan
from studiolo.training.source import read_source
from studiolo.training.text import Text
from tests.training.corpus.small import built, texts
from tests.training.small import TEXT, small_recipe, text_file

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


def corpus(folder: Path, **changes: object) -> Path:
    """A corpus of 30 texts, about a fifth of which are held out."""
    source = {"name": "s", "path": str(texts(folder / "in", 30)), "licence": "MIT"}
    built(folder / "corpus", {**source, "validation": 0.2}, **changes)
    return folder / "corpus"


def test_a_corpus_is_mapped_and_brings_all_with_it(tmp_path: Path) -> None:
    path = corpus(tmp_path)
    source = read_source(DataRecipe(path=str(path)))
    assert isinstance(source.tokens.ids, np.memmap)
    assert source.licence == "MIT"
    assert source.tokenizer.to_json() == open_tokenizer(str(path)).to_json()
    assert source.held_out is not None
    assert len(source.tokens.starts) + len(source.held_out.starts) == 30
    assert source.split(0.5, 10) == (source.tokens, source.held_out)
    text = Text(source)
    assert text.held_out == len(source.held_out) / text.size
    assert text.size == len(source.tokens) + len(source.held_out)
    given = DataRecipe(path=str(path), licence="CC0-1.0", tokenizer=str(path))
    assert read_source(given).licence == "CC0-1.0"


def test_blocks_of_a_corpus_keep_documents_apart(tmp_path: Path) -> None:
    path = corpus(tmp_path)
    text = Text(read_source(DataRecipe(path=str(path))))
    recipe = small_recipe(path, model={"context": 512})
    parts = text.parts(recipe, plan(recipe, text.tokenizer.vocab_size))
    batch = parts.training.at(0)
    [end] = text.tokenizer.eos_ids
    after = batch.inputs[:, :-1] == end
    assert bool(after.any())
    assert batch.documents is not None
    assert bool((batch.documents.diff(dim=1) == after).all())
    assert bool((batch.targets[:, :-1][after] == IGNORED).all())


def test_a_model_that_spells_otherwise_cannot_go_on_with_a_corpus(
    tmp_path: Path, tiny: str
) -> None:
    own, other = open_tokenizer(tiny), character_tokenizer(alphabet("abc"))
    path = corpus(tmp_path, tokenizer=tiny)
    assert read_source(DataRecipe(path=str(path)), own).tokenizer is own
    with pytest.raises(InvalidRequestError, match="spelt by another tokenizer") as caught:
        read_source(DataRecipe(path=str(path)), other)
    assert caught.value.field == "data.path"
    other.save(tmp_path / "other")
    with pytest.raises(InvalidRequestError, match=r"than that of .*other"):
        read_source(DataRecipe(path=str(path), tokenizer=str(tmp_path / "other")))


def test_a_corpus_without_a_part_is_refused_with_a_remedy(tmp_path: Path) -> None:
    source = {"name": "s", "path": str(texts(tmp_path / "in", 3)), "validation": 0}
    built(tmp_path / "corpus", source)
    read = read_source(DataRecipe(path=str(tmp_path / "corpus")))
    with pytest.raises(InvalidRequestError, match="has 0 tokens for validation, but one block"):
        read.split(0.1, 17)
