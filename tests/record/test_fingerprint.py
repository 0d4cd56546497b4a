from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.record.fingerprint import of_bytes, of_text, of_texts
from studiolo.record.secret import master_secret

pytestmark = pytest.mark.usefixtures("home")


def test_it_is_the_mac_that_the_page_says() -> None:
    key = hmac.new(master_secret(), b"output fingerprint 1", hashlib.sha256).digest()
    expected = hmac.new(key, b"text\nIt rained.", hashlib.sha256).hexdigest()
    assert of_text(" It rained.\n") == expected


@pytest.mark.parametrize("other", ["a\nb\n", "  a\r\nb", "a\rb", "\n\na\nb \t"])
def test_what_an_editor_changes_does_not_count(other: str) -> None:
    assert of_text(other) == of_text("a\nb")


def test_composed_characters_do_not_count() -> None:
    assert of_text("cafe\u0301") == of_text("caf\u00e9")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=st.text(max_size=40), b=st.text(max_size=40))
def test_other_words_are_another(a: str, b: str) -> None:
    assert len(of_text(a)) == 64
    if a.split() != b.split() and a.isascii() and b.isascii():
        assert of_text(a) != of_text(b)


def test_a_text_is_no_file_of_its_bytes() -> None:
    assert of_bytes(b"a") != of_text("a")
    assert of_bytes(b"a") != of_bytes(b"a\n")


def test_without_the_secret_nobody_can_try_answers(home: Path) -> None:
    mine = of_texts()
    before = mine("yes")
    assert before not in {hashlib.sha256(each).hexdigest() for each in (b"yes", b"text\nyes")}
    (home / "secret").unlink()
    assert of_text("yes") != before
