from __future__ import annotations

import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.normalise import NormaliseRules, normalise
from tests.training.corpus.small import document


def spelt(text: str, form: Literal["NFC", "NFKC", "none"] = "NFC") -> str | None:
    said = normalise(document(text), NormaliseRules(form=form))
    return None if isinstance(said, Dropped) else said.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("\ufeffa\x00b\x07\tc\ud800", "ab\tc"),
        ("a  \n \t\nb\n", "a\n\nb\n"),
        ("\n\na\n\n\n\n\n\nb\n\n", "a\n\n\nb\n"),
        ("  indented", "  indented"),
        ("e\u0301", "é"),
        (" \n\t", None),
    ],
)
def test_one_spelling(text: str, expected: str | None) -> None:
    assert spelt(text) == expected


def test_the_form_is_chosen() -> None:
    assert spelt("ﬁe\u0301", "NFKC") == "fié"
    assert spelt("ﬁe\u0301", "none") == "ﬁe\u0301"


@given(st.text(st.characters(codec=None)))
def test_what_is_normal_stays_and_is_unicode(text: str) -> None:
    said = normalise(document(text), NormaliseRules())
    if isinstance(said, Document):
        again = normalise(said, NormaliseRules())
        assert again is said
        assert said.text.encode("utf-8")
        assert unicodedata.is_normalized("NFC", said.text)
