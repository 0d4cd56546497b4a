from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.characters import UNKNOWN, alphabet, character_ids, character_tokenizer

TEXT = "To be, or not to be:\n\tthat is the question — 'tis\r\n  naïve 🎭 <|end|>\n"


def test_transformers_and_our_reader_load_it_and_give_the_text_back(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    character_tokenizer(alphabet(TEXT)).save(tmp_path)
    ours, theirs = Tokenizer.from_directory(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    ids = ours.encode(TEXT)
    assert len(ids) == len(TEXT)
    assert theirs(TEXT)["input_ids"] == ids
    assert ours.decode(ids) == theirs.decode(ids) == TEXT
    assert ours.vocab_size == len(theirs) == len(set(TEXT)) + 1


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_ids_at_once_are_those_of_the_tokenizer(known: str, text: str) -> None:
    characters = alphabet(known)
    tokenizer = character_tokenizer(characters)
    assert character_ids(text, characters).tolist() == tokenizer.encode(text)
    assert tokenizer.decode(tokenizer.encode(known)) == known


def test_what_it_lacks_is_seen_to_be_lacking() -> None:
    tokenizer = character_tokenizer(alphabet("abc"))
    assert tokenizer.decode(tokenizer.encode("abxyc")) == f"ab{UNKNOWN}{UNKNOWN}c"


def test_an_alphabet_has_its_limits() -> None:
    with pytest.raises(InvalidRequestError, match="different characters"):
        alphabet("".join(map(chr, range(0x4E00, 0x4E00 + 33_000))))
    with pytest.raises(InvalidRequestError, match="surrogates"):
        alphabet("a\ud800")
