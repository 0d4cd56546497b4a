from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.synopses import Pair, read_pairs, rouge_l
from studiolo.errors import InvalidRequestError

BODY = "A long description of what it does.\n" * 4
STANZA = "Package: {}\nDescription-md5: 0\nDescription-en: {}\n{}\n"


def body(text: str) -> str:
    return "".join(f" {line or '.'}\n" for line in text.splitlines())


def test_stanzas_become_pairs_and_equal_descriptions_one(tmp_path: Path) -> None:
    path = tmp_path / "Translation-en"
    other = BODY + "\nIn two paragraphs: ö."
    path.write_text(
        STANZA.format("a", "first", body(BODY))
        + STANZA.format("b", "first again", body(BODY))
        + STANZA.format("c", "second: with a colon", body(other))
        + STANZA.format("d", "too short", body("Short."))
        + "Package: e\nDescription-md5: 0\n\n",
        encoding="utf-8",
    )
    found = read_pairs(path)
    assert len(found) == 2
    assert Pair(other, "second: with a colon") in found
    assert [pair.place for pair in found] == sorted(pair.place for pair in found)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no stanzas", encoding="utf-8")
    for path in (tmp_path / "none", tmp_path / "text", tmp_path):
        with pytest.raises(InvalidRequestError, match="data: "):
            read_pairs(path)


@pytest.mark.parametrize(
    ("made", "wanted", "score"),
    [
        ("police killed the gunman", "police kill the gunman", 0.75),  # Lin 2004, section 3.1
        ("the gunman kill police", "police kill the gunman", 0.5),
        ("Fast Editor", "fast, editor!", 1.0),
        ("a b c d", "b d", 2 * 2 / 6),
        ("", "word", 0.0),
        ("…", "word", 0.0),
    ],
)
def test_rouge_l_is_that_of_its_paper(made: str, wanted: str, score: float) -> None:
    assert rouge_l(made, wanted) == pytest.approx(score)


@given(st.text("ab ", max_size=12), st.text("ab ", max_size=12))
def test_rouge_l_is_symmetric_and_one_for_the_same_words(one: str, other: str) -> None:
    assert rouge_l(one, other) == rouge_l(other, one) <= 1
    assert (rouge_l(one, other) == 1) == (one.split() == other.split() != [])
