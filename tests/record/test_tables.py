from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from studiolo.record.tables import metadata, printable

SECRETS = ("secret", "password", "token", "random")


def test_whatever_belongs_to_somebody_says_so() -> None:
    owned = {name for name, table in metadata.tables.items() if "key" in table.c}
    assert owned == {*metadata.tables} - {"keys"}


def test_no_column_holds_a_secret() -> None:
    for table in metadata.tables.values():
        assert [c.name for c in table.c if c.name in SECRETS] == []


@given(st.text(st.characters(), max_size=30), st.integers(0, 20))
def test_a_printable_text_fits_any_database(text: str, limit: int) -> None:
    made = printable(text, limit)
    assert len(made) <= limit
    assert "\0" not in made
    assert made.encode("utf-8").decode("utf-8") == made
    assert printable(made, limit) == made


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text, len(text)) == text
