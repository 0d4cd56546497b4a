from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.util import immutabledict

from studiolo.errors import InvalidRequestError
from studiolo.record.location import Location


def test_a_path_is_sqlites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    here = tmp_path / "a b?c#d%20.db"
    for text in (
        str(here),
        here.name,
        f"~/{here.name}",
        f"sqlite:///{here}",
        f"sqlite:///{here.name}",
    ):
        where = Location.of(text)
        assert where.path == here
        assert where.shown == str(here)
        assert where.url.database == str(here)


def test_without_a_name_it_is_in_the_home(home: Path) -> None:
    assert Location.of().path == home / "records.db"


def test_a_server_is_shown_without_its_password() -> None:
    where = Location.of(
        "postgresql://me:se%40cret@host:5433/db?sslpassword=other&connect_timeout=3"
    )
    assert where.path is None
    assert where.shown == "postgresql://me:***@host:5433/db"
    assert where.url.password == "se@cret"
    assert where.url.query == immutabledict({"sslpassword": "other", "connect_timeout": "3"})
    assert "se@cret" not in repr(where)
    assert "other" not in repr(where)
    assert where.without_secrets("no se@cret\n is\tother") == "no *** is ***"
    assert Location.of("postgres:///db?host=/run/postgresql").shown == "postgresql:///db"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names none"),
        (":memory:", "names none"),
        ("sqlite:///:memory:", "names none"),
        ("sqlite://", "has no host"),
        ("sqlite://host/x.db", "has no host"),
        ("sqlite:///", "names none"),
        ("file:x?mode=memory", "names none"),
        ("a\0b", "names none"),
        ("~nobody-of-that-name/x", "home of a user"),
        ("mysql://u:secret@h/db", "'mysql' is no database"),
        ("postgresql+asyncpg://u:secret@h/db", "is no database"),
        ("postgresql://u:sec@ret@h/db", "not plain where the password ends"),
        ("postgresql://u:sec/ret@h/db", "not plain where the password ends"),
        ("postgresql://u:sec?ret@h/db", "not plain where the password ends"),
        ("postgresql://u:sec#ret@h/db", "not plain where the password ends"),
        ("postgresql://u:secret@h:port/db", "cannot be read"),
        ("postgresql://u:sec:ret@[::1/db", "cannot be read"),
    ],
)
def test_what_names_no_database_is_refused_and_not_repeated(text: str, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why) as caught:
        Location.of(text)
    assert caught.value.field == "records"
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value).replace("there", "")


@given(st.text(max_size=40), st.text(max_size=12))
def test_any_text_is_a_location_or_an_error_that_holds_no_password(rest: str, inner: str) -> None:
    rest, secret = rest.replace("«", ""), f"«{inner}«"
    for text in (rest, f"postgresql://{rest}", f"postgresql://u:{secret}@{rest}"):
        try:
            shown = repr(Location.of(text))
        except InvalidRequestError as error:
            shown = str(error)
        assert "«" not in shown
        assert "%C2%AB" not in shown.upper()
