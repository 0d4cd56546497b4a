from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError
from studiolo.training.corpus.readers.plain import pieces, read_plain
from studiolo.training.corpus.readers.reading import Row

TEXT = st.text(st.sampled_from("ab \n"), max_size=200)


@given(st.lists(TEXT, max_size=8), st.integers(4, 60))
def test_pieces_are_the_text_and_none_is_too_long(blocks: list[str], longest: int) -> None:
    made = list(pieces(blocks, longest))
    assert "".join(made) == "".join(blocks)
    assert all(0 < len(each) <= longest for each in made)


@given(TEXT, st.lists(st.integers(0, 200), max_size=6))
def test_a_separator_is_found_wherever_blocks_end(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    blocks = [text[a:b] for a, b in pairwise(places)]
    expected = [each for each in text.split("ab\n") if each]
    assert list(pieces(blocks, 1000, "ab\n")) == expected


def test_a_cut_is_made_after_a_paragraph_or_else_a_line() -> None:
    assert list(pieces(["one two.\n\nsix\nthree"], 14)) == ["one two.\n\n", "six\nthree"]
    assert list(pieces(["one. two\nthree"], 10)) == ["one. two\n", "three"]
    assert list(pieces(["onetwothree"], 4)) == ["onet", "woth", "ree"]


def test_a_separator_just_beyond_the_longest_piece_is_still_one() -> None:
    assert list(pieces(["aaaa<", "END>bb"], 4, "<END>")) == ["aaaa", "bb"]


def test_a_file_is_one_document_or_many(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert list(read_plain(path, 100, None)) == [Row("one\r\ntwo")]
    assert list(read_plain(path, 100, "\r\n")) == [Row("one", "1"), Row("two", "2")]
    path.write_bytes(b"")
    assert list(read_plain(path, 100, None)) == []
    path.write_bytes(b"caf\xe9")
    with pytest.raises(MalformedFileError, match=r"a\.txt: is no UTF-8 text"):
        list(read_plain(path, 100, None))
