from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError, StudioloError, UnsupportedModelError
from studiolo.modality.text.gguf_vocabulary import PRE_TOKENIZERS
from studiolo.modality.text.tokenizer import Tokenizer
from tests.modality.text import small

PREFIX = "tokenizer.ggml."


def changed(**values: object) -> dict[str, object]:
    return small.byte_level() | {PREFIX + key: value for key, value in values.items()}


def test_merges_are_followed_in_their_order() -> None:
    tokenizer = Tokenizer.from_gguf(small.byte_level())
    assert [tokenizer.token_text(i) for i in tokenizer.encode("hello we")] == ["hello", " w", "e"]


def test_smollm_sets_every_digit_apart() -> None:
    tokenizer = Tokenizer.from_gguf(small.byte_level())
    assert [tokenizer.token_text(i) for i in tokenizer.encode("  12")] == ["  ", "1", "2"]
    gpt2 = Tokenizer.from_gguf(changed(pre="gpt-2"))
    assert [gpt2.token_text(i) for i in gpt2.encode("  12")] == [" ", " ", "1", "2"]


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
def test_every_pre_tokenizer_loses_nothing(pre: str) -> None:
    tokenizer = Tokenizer.from_gguf(changed(pre=pre, add_bos_token=False))
    text = "Hello, wörld!  It's 12345\r\n\n\t x\u3000ДАЖЕ Ǆ天地 मे́ं 'LL don't\x00\x7f😀 "
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_an_unknown_pre_tokenizer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnsupportedModelError, match=r"'mystery'.*qwen2, smaug-bpe, smollm"):
        Tokenizer.from_gguf(changed(pre="mystery"))


def test_llama_3_starts_with_bos_unless_the_file_says_otherwise() -> None:
    metadata = changed(pre="llama-bpe")
    del metadata[PREFIX + "add_bos_token"]
    assert Tokenizer.from_gguf(metadata).adds_bos
    assert not Tokenizer.from_gguf(changed(pre="llama-bpe")).adds_bos


def test_sentence_pieces_join_by_score_and_fall_back_to_bytes() -> None:
    tokenizer = Tokenizer.from_gguf(small.sentence_pieces())
    texts = [tokenizer.token_text(i) for i in tokenizer.encode("hello wé天ß", add_special=False)]
    assert texts == [" hello", " w", "é", "天", "<0xC3>", "<0x9F>"]
    assert tokenizer.adds_bos
    assert tokenizer.decode(tokenizer.encode("hello  ß")) == "hello  ß"


def test_without_a_space_prefix_none_is_added_or_taken() -> None:
    tokenizer = Tokenizer.from_gguf(small.sentence_pieces(prefix=False))
    ids = tokenizer.encode(" hello")
    assert tokenizer.decode(ids) == " hello"
    assert tokenizer.encode("hello", add_special=False) != ids[1:]


def test_every_token_that_ends_a_turn_is_an_end() -> None:
    tokenizer = Tokenizer.from_gguf(small.byte_level())
    assert tokenizer.eos_ids == {0, 2}  # <|endoftext|>, which nothing names, and <|im_end|>
    assert Tokenizer.from_gguf(changed(eot_token_id=1)).eos_ids == {0, 1, 2}


def test_an_ordinary_token_that_looks_like_an_end_is_none() -> None:
    metadata = small.byte_level()
    types = list(metadata[PREFIX + "token_type"])  # type: ignore[call-overload]
    types[0] = 1
    assert Tokenizer.from_gguf(metadata | {PREFIX + "token_type": types}).eos_ids == {2}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("model", None, "names no tokenizer"),
        ("tokens", [], "empty"),
        ("tokens", "abc", "not a list"),
        ("tokens", [1, 2], "not a list of strings"),
        ("tokens", ["a", "a"], "1 tokens twice"),
        ("token_type", [1], "one type for each"),
        ("merges", ["a"], "two tokens and a space"),
        ("merges", ["a b c"], "two tokens and a space"),
        ("merges", ["nobody knows"], "tokenizer in the file's metadata"),
        ("eos_token_id", 10**6, "none of the"),
        ("eos_token_id", -1, "none of the"),
        ("bos_token_id", "x", "none of the"),
        ("eot_token_id", True, "none of the"),
        ("add_bos_token", "yes", "not true or false"),
    ],
)
def test_metadata_that_contradict_themselves_are_refused(
    key: str, value: object, says: str
) -> None:
    with pytest.raises(MalformedFileError, match=says):
        Tokenizer.from_gguf(changed(**{key: value}))


def test_scores_must_match_the_tokens() -> None:
    for scores in (None, [], [0.0] * 3, "x"):
        with pytest.raises(MalformedFileError, match=r"tokenizer\.ggml\.scores"):
            Tokenizer.from_gguf(small.sentence_pieces() | {PREFIX + "scores": scores})


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="'bert' is not supported"):
        Tokenizer.from_gguf(changed(model="bert"))


def test_numpy_arrays_serve_as_well_as_lists() -> None:
    metadata = small.sentence_pieces()
    for key in ("scores", "token_type"):
        metadata[PREFIX + key] = np.asarray(metadata[PREFIX + key])
    metadata[PREFIX + "bos_token_id"] = np.uint32(1)
    assert Tokenizer.from_gguf(metadata).encode("a")[0] == 1


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.one_of(st.text(max_size=3), st.integers(-9, 9), st.floats()), max_size=5),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
characters = st.characters(exclude_categories=[])  # lone surrogates too


def _mutate(data: st.DataObject, metadata: dict[str, object]) -> None:
    for key in data.draw(st.lists(st.sampled_from(sorted(metadata)), min_size=1, max_size=3)):
        value = metadata[key]
        if isinstance(value, list) and value and data.draw(st.booleans()):
            items = list(value)
            at = data.draw(st.integers(0, len(items) - 1))
            edit = data.draw(st.sampled_from(("drop", "replace", "double", "odd text", "cut")))
            if edit == "drop":
                del items[at]
            elif edit == "cut":
                del items[at:]
            elif edit == "double":
                items.insert(at, items[data.draw(st.integers(0, len(items) - 1))])
            else:
                new: st.SearchStrategy[object] = st.text(characters, max_size=6)
                items[at] = data.draw(anything if edit == "replace" else new)
            metadata[key] = items
        elif isinstance(value, str) and data.draw(st.booleans()):
            known = st.sampled_from(("gpt2", "llama", *PRE_TOKENIZERS))
            metadata[key] = data.draw(known)
        elif data.draw(st.booleans()):
            metadata[key] = data.draw(anything)
        else:
            del metadata[key]
            return


@pytest.mark.parametrize("make", [small.byte_level, small.sentence_pieces])
@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_mutated_metadata_give_a_tokenizer_or_a_named_error(
    make: Callable[[], dict[str, object]], data: st.DataObject
) -> None:
    metadata = make()
    _mutate(data, metadata)
    start = time.monotonic()
    try:
        tokenizer = Tokenizer.from_gguf(metadata)
        ids = tokenizer.encode("hello <|im_end|> wé\x00\ud800 12", parse_special=True)
        tokenizer.decode(ids)
        tokenizer.facts()
        assert all(0 <= i < tokenizer.vocab_size for i in ids)
    except StudioloError:
        pass
    assert time.monotonic() - start < 5.0
