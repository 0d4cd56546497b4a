from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError, StudioloError
from studiolo.record.database import Database
from studiolo.record.ledger import BYS, By, Entry, Ledger, Usage
from studiolo.record.tables import requests
from tests.databases import Postgres

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC).timestamp()


def entry(id: str, **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "id": id,
        "started": MIDNIGHT,
        "seconds": 1.5,
        "dialect": "openai",
        "endpoint": "/v1/chat/completions",
        "status": 200,
    }
    return Entry(**{**values, **changes})


def noted(database: Database, *entries: Entry) -> Ledger:
    ledger = Ledger(database)
    for each in entries:
        ledger.note(each)
    assert ledger.flush(60)
    return ledger


def test_a_row_comes_back_as_it_was_noted(database: Database) -> None:
    full = entry(
        "req_1",
        started=MIDNIGHT + 1 / 3,
        key="abc",
        user="Zoë 🎈",
        model="m",
        weights="ab" * 32,
        seconds_to_first=0.1,
        status=429,
        error="rate_limit",
        finish_reason="length",
        prompt_tokens=1 << 40,
        cached_tokens=3,
        completion_tokens=7,
        cost=0.1 + 0.2,
        joules=1e-9,
    )
    bare = entry("req_2", started=MIDNIGHT + 2)
    ledger = noted(database, full, bare)
    assert ledger.requests(None, admin=True) == (bare, full)
    assert ledger.requests("abc") == (full,)
    assert ledger.requests(None) == (bare,)
    assert ledger.requests("ab") == ()
    assert ledger.requests(None, admin=True, limit=1) == (bare,)
    assert ledger.requests(None, admin=True, before="req_2") == (full,)
    ledger.close()


def test_a_request_is_one_row_however_often_it_is_noted(database: Database) -> None:
    ledger = noted(database, entry("a", cost=1.0), entry("b"), entry("a", cost=2.0))
    ledger.note(entry("a", cost=3.0))
    ledger.close()
    assert {each.id: each.cost for each in ledger.requests(None)} == {"a": 1.0, "b": 0.0}


def known(database: Database) -> Ledger:
    """Two keys, two models, three days."""
    rows = [
        entry(
            f"r{i}",
            started=MIDNIGHT + i * 43_200,
            key=("k1", "k2", None)[i % 3],
            model=("m", "n")[i % 2],
            status=(200, 200, 200, 429, 500)[i % 5],
            prompt_tokens=i,
            cached_tokens=1,
            completion_tokens=2 * i,
            cost=i / 4,
            joules=float(i),
        )
        for i in range(6)
    ]
    return noted(database, *rows)


def test_usage_sums_what_was_asked_for(database: Database) -> None:
    ledger = known(database)
    assert ledger.usage() == (Usage(6, 2, 15, 6, 30, 3.75, 15.0, 9.0),)
    by_key = ledger.usage(by=["key"], key="k1")
    assert by_key == (Usage(2, 1, 3, 2, 6, 0.75, 3.0, 3.0, key="k1"),)
    days = ledger.usage(by=["day"])
    assert [(each.day, each.requests, each.cost) for each in days] == [
        ("2026-11-22", 2, 0.25),
        ("2026-11-23", 2, 1.25),
        ("2026-11-24", 2, 2.25),
    ]
    both = ledger.usage(by=["model", "status"])
    assert [(each.model, each.status, each.requests, each.errors) for each in both] == [
        ("m", 200, 2, 0),
        ("m", 500, 1, 1),
        ("n", 200, 2, 0),
        ("n", 429, 1, 1),
    ]
    since, until = MIDNIGHT + 43_200, MIDNIGHT + 86_400
    assert [each.requests for each in ledger.usage(since=since, until=until)] == [1]
    assert {each.key for each in ledger.usage(by=["key"])} == {"k1", "k2", None}
    assert ledger.usage(key="nobody") == ()
    assert ledger.usage(by=["key"], since=until * 2) == ()
    for name in BYS:
        assert sum(each.requests for each in ledger.usage(by=[name])) == 6
    ledger.close()


def test_a_group_that_is_none_is_refused(database: Database) -> None:
    for wrong in ("prompt_tokens", "", "key; DROP TABLE keys"):
        with pytest.raises(InvalidRequestError) as caught:
            Ledger(database).usage(by=[wrong])  # type: ignore[list-item]
        assert caught.value.field == "by"


def test_what_a_key_has_spent(database: Database) -> None:
    ledger = known(database)
    assert ledger.spent("k1", 0) == 0.75
    assert ledger.spent("k2", 0) == 1.25
    assert ledger.spent("k2", MIDNIGHT + 4 * 43_200) == 1.0
    assert ledger.spent("k2", MIDNIGHT + 4 * 43_200 + 1) == 0
    assert ledger.spent("nobody", 0) == 0
    ledger.close()


def test_spending_is_read_from_the_index_alone(database: Database) -> None:
    query = sa.select(sa.func.sum(requests.c.cost)).where(
        requests.c.key == "k", requests.c.started >= 1.0
    )
    prefix = "EXPLAIN QUERY PLAN" if database.where.path else "EXPLAIN"
    with database.begin() as connection:
        if not database.where.path:
            connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
        spelled = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = str(connection.exec_driver_sql(f"{prefix} {spelled}").all())
    assert "ix_requests_key_started_cost" in plan


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_a_client_says_is_noted(database: Database, data: st.DataObject) -> None:
    text = st.none() | st.text(st.characters(), max_size=600)
    id = f"req_{uuid.uuid4().hex}"
    made = entry(
        id,
        **{name: data.draw(text) for name in ("user", "model", "error", "finish_reason")},
        endpoint=data.draw(st.text(st.characters())),
        prompt_tokens=data.draw(st.integers(0, (1 << 63) - 1)),
    )
    ledger = noted(database, made)
    (found,) = (each for each in ledger.requests(None, limit=1000) if each.id == id)
    assert found.prompt_tokens == made.prompt_tokens
    assert (found.user is None) == (made.user is None)
    ledger.close()


def test_a_row_that_no_database_accepts_does_not_hold_up_others(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [
        entry("bad0", prompt_tokens=1 << 63),
        entry("bad1", status=1 << 200),
        entry("bad2", cost=None),
        entry("bad3", started=math.inf),
    ]
    good = [entry(f"good{i}") for i in range(5)]
    mixed = [good[0], bad[0], good[1], bad[1], good[2], good[3], *bad[2:], good[4]]
    ledger = noted(database, *mixed)
    ledger.close()
    assert {each.id for each in ledger.requests(None)} == {each.id for each in good}
    lost = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert [json.loads(each.partition(": ")[2])["id"] for each in lost] == [each.id for each in bad]


def test_no_number_at_all_is_noted_or_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = noted(database, entry("a"), entry("nan", joules=math.nan), entry("b"))
    ledger.close()
    assert {each.id for each in ledger.requests(None)} | {"nan"} == {"a", "b", "nan"}


def test_a_server_may_go_and_come_back(postgres: Postgres) -> None:
    database = Database.open(postgres.fresh())
    ledger = noted(database, entry("before"))
    try:
        postgres.stop()
        for i in range(10):
            ledger.note(entry(f"during{i}"))
        assert not ledger.flush(0.3)
        assert ledger.lag > 0
        with pytest.raises(StudioloError):
            ledger.usage()
    finally:
        postgres.start()
    assert ledger.flush(60)
    assert ledger.lag == 0
    ledger.close()
    assert {each.id for each in ledger.requests(None)} == {
        "before",
        *(f"during{i}" for i in range(10)),
    }
    database.close()


def test_a_commit_without_an_answer_is_made_again_without_harm(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studiolo.errors import RecordsError
    from studiolo.record import writer

    monkeypatch.setattr(writer, "BACKOFF", (0.001, 0.01))
    ledger = Ledger(database)
    real: Callable[..., Any] = ledger._accepts
    calls = 0

    def accepts(group: Any) -> bool:
        nonlocal calls
        calls += 1
        outcome: bool = real(group)
        if calls < 4:
            raise RecordsError("the connection broke while it was committed")
        return outcome

    monkeypatch.setattr(ledger, "_accepts", accepts)
    for i in range(20):
        ledger.note(entry(f"r{i}", cost=1.0, key="k"))
    assert ledger.flush(60)
    ledger.close()
    assert calls >= 4
    assert ledger.spent("k", 0) == 20


def test_what_cannot_be_written_in_the_end_is_in_the_log(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from studiolo.errors import RecordsError

    ledger = Ledger(database)

    def away(group: Any) -> bool:
        raise RecordsError("away")

    monkeypatch.setattr(ledger, "_accepts", away)
    made = entry("r", user="\ud800", cost=1.25)
    ledger.note(made)
    ledger.close(0.2)
    (told,) = (each.message for each in caplog.records if each.levelno == logging.ERROR)
    assert Entry(**json.loads(told.partition(": ")[2])) == made


def test_the_groups_are_those_of_usage() -> None:
    names: tuple[By, ...] = BYS
    for name in names:
        assert getattr(Usage(0, 0, 0, 0, 0, 0, 0, 0), name) is None
