from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from studiolo.bundle.gguf import GGUFFile
from studiolo.errors import UnsupportedModelError
from studiolo.modality.text.blueprint import Blueprint
from studiolo.modality.text.gguf_spelling import gguf_metadata
from studiolo.modality.text.gguf_vocabulary import PRE_TOKENIZERS
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.characters import alphabet, character_tokenizer
from tests.modality.text import small

PREFIX = "tokenizer.ggml."


def again(tokenizer: Tokenizer, rows: int | None = None) -> Tokenizer:
    return Tokenizer.from_gguf(gguf_metadata(tokenizer, rows or tokenizer.vocab_size))


def same(one: Tokenizer, other: Tokenizer, text: str) -> bool:
    return one.encode(text) == other.encode(text) and one.eos_ids == other.eos_ids


def changed(change: Callable[[Any], None], metadata: dict[str, object] | None = None) -> Tokenizer:
    """A tokenizer whose ``tokenizer.json`` was changed."""
    first = Tokenizer.from_gguf(metadata or small.byte_level())
    value = json.loads(first.to_json())
    change(value)
    backend = tokenizers.Tokenizer.from_str(json.dumps(value))
    return Tokenizer(Blueprint(backend, first.vocab_size, first.bos_id, first.eos_ids))


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
@pytest.mark.parametrize("bos", [True, False])
def test_byte_level_comes_back(pre: str, bos: bool) -> None:
    first = Tokenizer.from_gguf(
        small.byte_level() | {f"{PREFIX}pre": pre, f"{PREFIX}add_bos_token": bos}
    )
    second = again(first)
    assert same(first, second, "hello wé 12 <|im_end|>\n\n it's 'LL 😀  ")
    assert second.chat_template == first.chat_template
    assert second.adds_bos == bos


@pytest.mark.parametrize("prefix", [True, False])
def test_sentence_pieces_come_back(prefix: bool) -> None:
    first = Tokenizer.from_gguf(small.sentence_pieces(prefix))
    assert same(first, again(first), "hello  wé天 ß he hell")


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.text(max_size=20))
def test_characters_come_back(text: str, other: str) -> None:
    first = character_tokenizer(alphabet(text))
    second = again(first)
    assert same(first, second, text)
    assert same(first, second, other.encode("utf-8", "replace").decode())
    assert second.decode(first.encode(text)) == text


def test_the_starter_is_spelled_as_its_own_file_spells_it(starter: Path) -> None:
    file = GGUFFile.open(next(starter.glob("*.gguf")))
    first = Tokenizer.from_gguf(file.metadata)
    said = gguf_metadata(first, first.vocab_size)
    for key in ("tokens", "token_type", "merges", "pre", "bos_token_id", "eos_token_id"):
        theirs = file.metadata[PREFIX + key]
        assert said[PREFIX + key] == (theirs.tolist() if isinstance(theirs, np.ndarray) else theirs)


def test_rows_without_a_token_are_marked() -> None:
    first = Tokenizer.from_gguf(small.byte_level())
    said = gguf_metadata(first, first.vocab_size + 2)
    types = said[f"{PREFIX}token_type"]
    assert isinstance(types, list)
    assert types[-3:] == [5, 5, 5]
    assert again(first, first.vocab_size + 2).encode("hello") == first.encode("hello")
    with pytest.raises(UnsupportedModelError, match="270 tokens, and the model's table 100 rows"):
        gguf_metadata(first, 100)


@pytest.mark.parametrize(
    ("part", "value", "why"),
    [
        ("normalizer", {"type": "Lowercase"}, "normaliser"),
        ("pre_tokenizer", {"type": "WhitespaceSplit"}, "cuts text into words"),
        ("decoder", {"type": "Fuse"}, "decoder"),
    ],
)
def test_what_a_gguf_cannot_say_is_refused(part: str, value: object, why: str) -> None:
    with pytest.raises(UnsupportedModelError, match=why):
        again(changed(lambda given: given.update({part: value})))


def test_merges_that_no_scores_give_are_refused() -> None:
    def swapped(given: Any) -> None:
        merges = given["model"]["merges"]
        at = next(i for i, (a, b) in enumerate(merges) if (a, b) == ("he", "ll"))
        del merges[at]

    with pytest.raises(UnsupportedModelError, match="order of merges"):
        again(changed(swapped, small.sentence_pieces()))


def test_no_end_is_refused_where_llama_cpp_would_invent_one() -> None:
    backend = tokenizers.Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    with pytest.raises(UnsupportedModelError, match="no token that ends a text"):
        again(Tokenizer(Blueprint(backend, 3)))


def test_word_pieces_and_composition() -> None:
    backend = tokenizers.Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece()
    with pytest.raises(UnsupportedModelError, match="WordPiece"):
        again(Tokenizer(Blueprint(backend, 1)))
    composed = changed(lambda given: given.update(normalizer={"type": "NFC"}))
    assert again(composed).encode("wé") == composed.encode("wé")
