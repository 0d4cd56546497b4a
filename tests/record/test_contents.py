from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.record.contents import DAY, Contents, Policy
from studiolo.record.database import Database
from studiolo.record.keys import Keys

ALL = Policy(contents=True, receipts=True)
PROMPT = [{"role": "user", "content": "Zoë's \0 secret \ud800 word"}]

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def key(database: Database) -> str:
    return Keys(database).create(name="a").key.id


@pytest.fixture
def other(database: Database) -> str:
    return Keys(database).create(name="b").key.id


def put(contents: Contents, request: str, **changes: Any) -> bool:
    values: dict[str, Any] = {
        "key": None,
        "user": None,
        "prompt": PROMPT,
        "output": {"text": "so"},
        "receipt": b"{\xff}",
    }
    return contents.put(request, **{**values, **changes})


def test_by_default_nothing_is_kept(database: Database) -> None:
    contents = Contents(database, Policy())
    assert not put(contents, "r")
    assert contents.content("r", None, admin=True) is None
    assert contents.receipt("r", None, admin=True) is None


@pytest.mark.parametrize("policy", [Policy(contents=True), Policy(receipts=True), ALL])
def test_what_the_policy_wants_is_kept_and_no_more(
    database: Database, key: str, policy: Policy
) -> None:
    contents = Contents(database, policy)
    before = time.time()
    assert put(contents, "r", key=key, user="u")
    found = contents.content("r", key)
    assert (found is not None) == policy.contents
    if found is not None:
        assert (found.request, found.key, found.user) == ("r", key, "u")
        assert found.prompt == PROMPT
        assert found.output == {"text": "so"}
        assert before <= found.created <= time.time()
        assert found.expires == pytest.approx(found.created + 30 * DAY)
    assert contents.receipt("r", key) == (b"{\xff}" if policy.receipts else None)


def test_without_anything_to_keep_there_is_no_row(database: Database) -> None:
    contents = Contents(database, ALL)
    assert not put(contents, "r", prompt=None, output=None, receipt=None)
    assert put(contents, "r", output=None, receipt=None)
    found = contents.content("r", None)
    assert found is not None
    assert found.output is None
    assert put(contents, "r", prompt="again")
    again = contents.content("r", None)
    assert again is not None
    assert again.prompt == "again"


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
        max_leaves=6,
    ),
    user=st.text(st.characters()),
    receipt=st.binary(),
)
def test_any_value_comes_back(database: Database, value: Any, user: str, receipt: bytes) -> None:
    contents = Contents(database, ALL)
    put(contents, "r", prompt=[value], output=value, user=user, receipt=receipt)
    found = contents.content("r", None)
    assert found is not None
    assert (found.prompt, found.output) == ([value], value)
    assert contents.receipt("r", None) == receipt
    assert contents.delete(user=user) == 1


def test_nobody_sees_what_is_anothers(database: Database, key: str, other: str) -> None:
    contents = Contents(database, ALL)
    put(contents, "mine", key=key)
    put(contents, "nobodys", key=None)
    for reader, request in ((other, "mine"), (None, "mine"), (key, "nobodys"), ("", "mine")):
        assert contents.content(request, reader) is None
        assert contents.receipt(request, reader) is None
    for request in ("mine", "nobodys"):
        assert contents.content(request, other, admin=True) is not None
        assert contents.receipt(request, None, admin=True) is not None


def test_it_is_deleted_by_key_user_or_request(database: Database, key: str, other: str) -> None:
    contents = Contents(database, ALL)

    def fill() -> None:
        for i, (owner, user) in enumerate([(key, "u"), (key, "v"), (other, "u"), (None, None)]):
            put(contents, f"r{i}", key=owner, user=user)

    def left() -> set[int]:
        found = (contents.content(f"r{i}", None, admin=True) for i in range(4))
        return {i for i, each in enumerate(found) if each is not None}

    for named, gone in (
        ({"key": key}, {0, 1}),
        ({"user": "u"}, {0, 2}),
        ({"key": key, "user": "u"}, {0}),
        ({"request": "r3"}, {3}),
        ({"request": "r3", "key": key}, set()),
        ({"key": "nobody"}, set()),
    ):
        fill()
        assert contents.delete(**named) == len(gone)
        assert left() == {0, 1, 2, 3} - gone
    with pytest.raises(InvalidRequestError, match="needs a key, a user or a request"):
        contents.delete()


def test_what_is_past_its_time_is_not_shown_and_is_swept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.time()
    put(Contents(database, Policy(contents=True, keep_days=2)), "short")
    put(Contents(database, Policy(contents=True, keep_days=9)), "long")
    contents = Contents(database, Policy())
    assert contents.sweep(start + 2 * DAY - 60) == 0
    monkeypatch.setattr(time, "time", lambda: start + 3 * DAY)
    assert contents.content("short", None) is None
    assert contents.content("long", None) is not None
    assert contents.sweep(start + 3 * DAY) == 1
    assert contents.sweep(start + 3 * DAY) == 0
    assert contents.content("long", None) is not None


def test_what_was_deleted_is_in_no_file_any_more(tmp_path: Path) -> None:
    database = Database.open(str(tmp_path / "records.db"))
    contents = Contents(database, ALL)

    def traces() -> int:
        return sum(path.read_bytes().count(b"tell nobody") for path in tmp_path.glob("records*"))

    for i in range(50):
        put(contents, f"r{i}", user="u", prompt="tell nobody " * 400, receipt=b"tell nobody")
    assert traces() > 0
    assert contents.delete(user="u") == 50
    assert traces() == 0
    database.close()


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_a_policy_has_a_time(days: int) -> None:
    with pytest.raises(InvalidRequestError, match="keep_days: must be 1 to 36,500"):
        Policy(keep_days=days)
