from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.guard.finding import Kind
from studiolo.guard.pseudonyms import Pseudonyms

ONE, OTHER = Pseudonyms(bytes(range(32))), Pseudonyms(bytes(range(1, 33)))


@given(st.text(st.characters(), min_size=1, max_size=200), st.sampled_from(list(Kind)))
def test_the_key_undoes_what_it_made(value: str, kind: Kind) -> None:
    token = ONE.hide(value, kind)
    assert re.fullmatch(rf"\{{{kind}:[A-Za-z0-9_-]{{23,}}\}}", token)
    assert ONE.undo(f"a {token} b") == f"a {value} b"
    assert OTHER.undo(token) == token
    assert token == ONE.hide(value, kind) != OTHER.hide(value, kind)
    assert ONE.spans(f"a {token}") == [(2, 2 + len(token))]
    assert OTHER.spans(token) == []


def test_a_value_has_another_pseudonym_of_another_kind() -> None:
    token = ONE.hide("1234567890", Kind.PHONE)
    other = ONE.hide("1234567890", Kind.PIN)
    assert token.partition(":")[2] != other.partition(":")[2]
    moved = token.replace("PHONE", "PIN")
    assert ONE.undo(moved) == moved


@given(st.text(st.sampled_from("{}EMAIL:abcAB_-09"), max_size=80))
def test_text_that_looks_like_one_is_left(text: str) -> None:
    assert ONE.undo(text) == text
    token = ONE.hide("x", Kind.EMAIL)
    changed = token[:-3] + ("A" if token[-3] != "A" else "B") + token[-2:]
    assert ONE.undo(changed) == changed


def test_the_bytes_of_a_pseudonym_are_pinned() -> None:
    # What was hidden years ago must come back: neither derivation nor form may change.
    assert ONE.hide("mary@example.org", Kind.EMAIL) == PINNED
    assert ONE.undo(PINNED) == "mary@example.org"


PINNED = "{EMAIL:nRUWTtuEm0F-Xbheq7MD4k_NDXbs9QnWGPmZrV5fYaw}"


def test_keys_from_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(range(32)))
    assert Pseudonyms.read(path).undo(PINNED) == "mary@example.org"
    for data, why in ((b"short", "has 5 bytes"), (b"x" * 70_000, "more than 65,536")):
        path.write_bytes(data)
        with pytest.raises(InvalidRequestError, match=why):
            Pseudonyms.read(path)
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        Pseudonyms.read(tmp_path)
    with pytest.raises(InvalidRequestError, match="at least 32"):
        Pseudonyms(b"x" * 31)
