from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.characters import alphabet, character_tokenizer
from studiolo.training.corpus.vocabulary import END, end_token, open_tokenizer, train_tokenizer
from tests.training.corpus.small import prose

MADE = train_tokenizer((prose(n) for n in range(20)), 400)


@given(st.text())
def test_every_text_can_be_spelt_and_comes_back(text: str) -> None:
    ids = MADE.encode(text)
    assert MADE.decode(ids) == text
    assert end_token(MADE) not in ids


def test_it_has_the_size_that_is_asked_for_and_is_shorter_than_bytes() -> None:
    assert MADE.vocab_size == 400
    text = prose(99)
    assert len(MADE.encode(text)) < len(text.encode()) / 2
    assert train_tokenizer(["ab"], 400).vocab_size == 258  # bytes, the end, and one pair


def test_the_same_texts_make_the_same() -> None:
    again = train_tokenizer((prose(n) for n in range(20)), 400)
    assert again.to_json() == MADE.to_json()


def test_the_end_survives_being_saved(tmp_path: Path) -> None:
    MADE.save(tmp_path)
    read = open_tokenizer(str(tmp_path))
    assert read.to_json() == MADE.to_json()
    end = end_token(MADE)
    assert end_token(read) == end
    assert read.eos_ids == {end}
    assert read.encode(f"a{END}", parse_special=True)[-1] == end
    assert end not in read.encode(f"a{END}")


def test_a_models_own_end_is_taken_and_one_without_has_none(tiny: str) -> None:
    own = open_tokenizer(tiny)
    assert end_token(own) == own.encode("<|eos|>", parse_special=True)[0]
    assert own.to_json() == Tokenizer.from_directory(Path(tiny)).to_json()
    assert end_token(character_tokenizer(alphabet("abc"))) is None
