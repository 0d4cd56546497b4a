from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from studiolo.errors import InvalidRequestError, NotFoundError, RecordsError
from studiolo.record import tables
from studiolo.record.database import Database
from studiolo.record.grant import Budget, Key, Limits
from studiolo.record.keys import Keys
from studiolo.record.recent import FRESH
from studiolo.record.secret import Secret

pytestmark = pytest.mark.usefixtures("home")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(database: Database, clock: Clock) -> Keys:
    return Keys(database, clock)


def statements(database: Database) -> list[str]:
    """What is asked of the database from now on."""
    seen: list[str] = []

    @sa.event.listens_for(database._engine, "before_cursor_execute")
    def see(_: object, __: object, statement: str, *rest: object) -> None:
        if statement.startswith("SELECT keys."):
            seen.append(statement)

    return seen


def test_a_key_is_made_found_listed_and_revoked(keys: Keys, clock: Clock) -> None:
    limits = Limits(60, 10_000, Budget(12.5, "month"))
    before = time.time()
    made = keys.create(
        name="Redaktion № 5",
        owner="team",
        scopes=("batch", "usage", "batch"),
        models=("smol*", "q\\u0000?"),
        limits=limits,
        expires=time.time() + 3600,
    )
    other = keys.create(name="other")
    assert made.key.scopes == ("batch", "usage")
    assert made.key.limits == limits
    assert before <= made.key.created <= time.time()
    assert other.key.scopes == ("inference", "models:read")
    assert other.key.models == ("*",)
    assert keys.find(made.secret) == made.key
    assert keys.find(other.secret) == other.key
    assert keys.list() == (made.key, other.key)
    revoked = keys.revoke(made.key.id)
    assert revoked.revoked is not None
    assert keys.find(made.secret) is None
    assert keys.find(other.secret) == other.key
    assert keys.revoke(made.key.id) == revoked
    assert keys.list() == (revoked, other.key)


def test_what_is_wrong_is_refused_and_nothing_is_made(keys: Keys) -> None:
    for wrong in ({"name": ""}, {"name": "a", "scopes": ()}, {"name": "a", "expires": 1.0}):
        with pytest.raises(InvalidRequestError):
            keys.create(**wrong)
    with pytest.raises(NotFoundError, match="no key has the id 'nobody'"):
        keys.revoke("nobody")
    assert keys.list() == ()


def test_no_secret_is_in_the_database_and_none_is_shown_by_accident(
    keys: Keys, database: Database
) -> None:
    made = keys.create(name="a")
    parsed = Secret.parse(made.secret)
    assert parsed is not None
    with database.read() as connection:
        row = connection.execute(sa.select(tables.keys)).one()
    held = repr(tuple(row)) + repr(made) + repr(made.key)
    for secret in (parsed.random, made.secret, made.aws.secret_access_key):
        assert secret not in held
    assert row.digest == parsed.digest


def test_a_wrong_secret_finds_nobody(keys: Keys) -> None:
    made, other = keys.create(name="a"), keys.create(name="b")
    mine, theirs = Secret.parse(made.secret), Secret.parse(other.secret)
    assert mine is not None
    assert theirs is not None
    for wrong in (
        "",
        "sk-studiolo-",
        made.secret[:-1],
        made.secret.replace("sk-", "sk_"),
        str(Secret(mine.id, theirs.random)),
        str(Secret("nobody000000", mine.random)),
        f"Bearer {made.secret}",
    ):
        assert keys.find(wrong) is None


def test_an_unknown_id_does_the_same_work(
    keys: Keys, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many queries of the same form, one hash and one comparison, the first time and later."""
    made = keys.create(name="a")
    known = Secret.parse(made.secret)
    assert known is not None
    hashed: list[str] = []
    real = Secret.matches

    def matches(self: Secret, stored: bytes | None) -> bool:
        hashed.append(self.id)
        return real(self, stored)

    monkeypatch.setattr(Secret, "matches", matches)
    seen = statements(database)
    work = []
    for secret in (made.secret, str(Secret("nobody000000", known.random))):
        keys.find(secret)
        first = list(seen)
        keys.find(secret)
        work.append((first, list(seen), len(hashed)))
        seen.clear()
        hashed.clear()
    assert work[0] == work[1]
    assert len(work[0][0]) == 1
    assert work[0][2] == 2


def test_a_revocation_elsewhere_takes_effect_within_a_second(
    keys: Keys, database: Database, clock: Clock
) -> None:
    made = keys.create(name="a")
    assert keys.find(made.secret) is not None
    Keys(database).revoke(made.key.id)  # as another process would
    clock.now += FRESH
    assert keys.find(made.secret) is None
    assert FRESH <= 1


def test_a_key_made_elsewhere_is_known_within_a_second(
    keys: Keys, database: Database, clock: Clock
) -> None:
    assert not keys.any()
    made = Keys(database).create(name="a")
    clock.now += FRESH
    assert keys.any()
    assert keys.find(made.secret) == made.key


def test_finding_is_cheap(keys: Keys, database: Database, clock: Clock) -> None:
    made = keys.create(name="a")
    seen = statements(database)
    for _ in range(50):
        keys.find(made.secret)
    assert len(seen) == 1


def test_it_says_whether_it_would_have_to_read(keys: Keys, clock: Clock) -> None:
    made, unknown = keys.create(name="a"), "sk-studiolo-aaaaaaaaaaaa-" + "x" * 43
    assert not keys.remembers()
    assert not keys.remembers(made.secret)
    keys.any()
    for secret in (made.secret, unknown):
        keys.find(secret)
        assert keys.remembers(secret)
    assert keys.remembers()
    assert keys.remembers("no secret at all")  # which is seen without reading
    clock.now += FRESH
    assert not keys.remembers()
    assert not keys.remembers(made.secret)


def test_a_key_ends_at_its_time_although_it_is_remembered(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = time.time() + 1000
    made = keys.create(name="a", expires=end)
    assert keys.find(made.secret) is not None
    monkeypatch.setattr(time, "time", lambda: end)
    assert keys.find(made.secret) is None
    assert keys.any(), "that it is past its time opens the door to nobody"


def test_any_says_whether_one_was_not_revoked(keys: Keys) -> None:
    assert not keys.any()
    one, two = keys.create(name="a"), keys.create(name="b")
    assert keys.any()
    keys.revoke(one.key.id)
    assert keys.any()
    keys.revoke(two.key.id)
    assert not keys.any()


def test_aws_clients_are_known_by_their_access_key(keys: Keys, database: Database) -> None:
    made = keys.create(name="a")
    assert keys.find_aws(made.aws.access_key_id) == (made.key, made.aws.secret_access_key)
    assert keys.aws_secret(made.key.id) == made.aws.secret_access_key
    elsewhere = Keys(database)
    assert elsewhere.find_aws(made.aws.access_key_id)[1] == made.aws.secret_access_key
    for unknown in ("STUDIOLONOBODY000000", "AKIAIOSFODNN7EXAMPLE", ""):
        key, secret = keys.find_aws(unknown)
        assert key is None
        assert len(secret) == len(made.aws.secret_access_key)
        assert secret != made.aws.secret_access_key
    keys.revoke(made.key.id)
    assert keys.find_aws(made.aws.access_key_id)[0] is None


def test_an_outage_does_not_lock_out_who_was_here(
    keys: Keys, clock: Clock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keys.create(name="a")
    assert keys.find(made.secret) == made.key
    assert keys.any()

    def away() -> None:
        raise RecordsError("away")

    monkeypatch.setattr(database, "read", away)
    clock.now += 30
    assert keys.find(made.secret) == made.key
    assert keys.any()
    clock.now += 31
    with pytest.raises(RecordsError):
        keys.find(made.secret)


def test_many_threads_make_and_find_keys(keys: Keys) -> None:
    found: list[Key | None] = []

    def work() -> None:
        for _ in range(5):
            made = keys.create(name="a")
            found.append(keys.find(made.secret) if keys.any() else None)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in found
    assert {key.id for key in found if key} == {key.id for key in keys.list()}
    assert len(found) == 20


def test_the_master_secret_lies_beside_the_records(keys: Keys, home: Path) -> None:
    keys.create(name="a")
    assert len((home / "secret").read_bytes()) == 32
