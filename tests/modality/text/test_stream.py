from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.stream import StopMatcher, StreamDecoder
from studiolo.modality.text.tokenizer import Tokenizer
from tests.modality.text import small

KINDS = ("byte-level", "pieces", "prefixed pieces", "words")


@cache
def tokenizer(kind: str) -> Tokenizer:
    if kind == "byte-level":
        return Tokenizer.from_gguf(small.byte_level())
    if kind == "words":
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "tokenizer.json").write_text(json.dumps(small.WORD_PIECE))
            return Tokenizer.from_directory(Path(folder))
    return Tokenizer.from_gguf(small.sentence_pieces(prefix=kind == "prefixed pieces"))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), skip=st.booleans())
def test_a_stream_shows_exactly_what_decoding_the_whole_shows(
    kind: str, data: st.DataObject, skip: bool
) -> None:
    model = tokenizer(kind)
    ids = data.draw(st.lists(st.integers(0, model.vocab_size + 3), max_size=40))
    stream = StreamDecoder(model, skip_special=skip)
    pieces = [stream.push(i) for i in ids]
    assert "".join(pieces) + stream.flush() == model.decode(ids, skip_special=skip)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), skip=st.booleans())
def test_decoding_equals_the_library_wherever_the_bytes_are_text(
    kind: str, data: st.DataObject, skip: bool
) -> None:
    model = tokenizer(kind)
    ids = data.draw(st.lists(st.integers(0, model.vocab_size - 1), max_size=40))
    ours = model.decode(ids, skip_special=skip)
    if kind == "byte-level" or "\ufffd" not in ours:
        assert ours == model._backend.decode(ids, skip_special_tokens=skip)


@given(text=st.text(max_size=60))
@pytest.mark.parametrize("kind", ["byte-level", "pieces", "prefixed pieces"])
def test_no_half_character_is_ever_shown(kind: str, text: str) -> None:
    model = tokenizer(kind)
    if kind != "byte-level":
        text = text.replace("▁", " ")  # the two are one in such vocabularies
    ids = model.encode(text)
    stream = StreamDecoder(model)
    shown = ""
    for token_id in ids:
        shown += stream.push(token_id)
        assert text.startswith(shown)
    assert shown + stream.flush() == text


def test_half_a_character_at_the_end_becomes_one_replacement() -> None:
    model = tokenizer("byte-level")
    ids = model.encode("a😀")[:-1]
    stream = StreamDecoder(model)
    assert "".join(stream.push(i) for i in ids) == "a"
    assert stream.flush() == "\ufffd"


def test_a_token_costs_the_same_however_much_came_before() -> None:
    model = tokenizer("byte-level")
    ids = model.encode("hello wé" * 20_000)
    stream = StreamDecoder(model)
    start = time.perf_counter()
    for token_id in ids:
        stream.push(token_id)
    assert time.perf_counter() - start < 5.0  # a quadratic decoder takes minutes


def brute_force(text: str, stops: list[str]) -> tuple[str, bool]:
    for end in range(len(text) + 1):
        ended = [len(stop) for stop in stops if text[:end].endswith(stop)]
        if ended:
            return text[: end - max(ended)], True
    return text, False


@settings(max_examples=400)
@given(
    text=st.text(alphabet="abc", max_size=12),
    stops=st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3),
    data=st.data(),
)
def test_stop_strings_are_found_however_the_text_is_cut(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    matcher = StopMatcher(stops)
    shown, seen = "", ""
    for piece in pieces:
        safe, stopped = matcher.push(piece)
        shown, seen = shown + safe, seen + piece
        if stopped:
            break
        # Held back is the longest end that begins a stop string, and nothing more.
        held = seen[len(shown) :]
        possible = [
            seen[at:] for at in range(len(seen)) if any(s.startswith(seen[at:]) for s in stops)
        ]
        assert held == max(possible, key=len, default="")
    expected, stopped = brute_force(text, stops)
    assert (matcher.met is not None) is stopped
    assert matcher.met is None or (matcher.met in stops and (shown + matcher.met) in text)
    assert shown + matcher.flush() == expected


def test_every_split_of_one_text() -> None:
    text, stops = "say STO and STOP now", ["STOP", "TO a"]
    for mask in range(1 << 12):
        pieces, start = [], 0
        for at in range(12):
            if mask >> at & 1:
                pieces.append(text[start : at + 5])
                start = at + 5
        matcher = StopMatcher(stops)
        shown = "".join(matcher.push(piece)[0] for piece in [*pieces, text[start:]])
        assert shown + matcher.flush() == "say S"


def test_after_a_stop_nothing_more_is_shown() -> None:
    matcher = StopMatcher(["."])
    assert matcher.push("a.b") == ("a", True)
    assert matcher.push("c") == ("", True)
    assert matcher.flush() == ""


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="empty"):
        StopMatcher(["a", ""])
