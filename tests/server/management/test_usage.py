"""Usage and one's own requests: sums, costs, and nobody else's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from studiolo.server.settings import Price
from tests.server.serving import Served, serving

PRICES = {"tiny": Price(prompt=1_000_000, completion=2_000_000)}


@pytest.fixture
def priced(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "records.db", prices=PRICES, watts=100.0) as running:
        yield running


def key(served: Served, name: str, *scopes: Any) -> httpx.Client:
    made = served.studio.records.keys.create(name=name, scopes=["inference", *scopes])
    return served.http(headers={"authorization": f"Bearer {made.secret}"})


def ask(served: Served, http: httpx.Client, times: int = 1, model: str = "tiny") -> dict[str, int]:
    usage: dict[str, int] = {}
    for _ in range(times):
        body = {"model": model, "prompt": "the cat", "max_tokens": 4, "ignore_eos": True}
        answer = http.post("/v1/completions", json=body)
        served.entry(answer.headers["x-request-id"])  # which is written after the answer
        usage = answer.json()["usage"]
    return usage


def test_everything_is_summed_where_there_are_no_keys(priced: Served) -> None:
    http = priced.http()
    took = ask(priced, http, 3)
    found = http.get("/studiolo/v1/usage?by=model,endpoint").json()
    assert found["energy"] in ("measured", "estimated")
    (row,) = [each for each in found["data"] if each["model"] == "tiny"]
    assert row["endpoint"] == "POST /v1/completions"
    assert (row["requests"], row["errors"]) == (3, 0)
    assert row["completion_tokens"] == 12
    assert row["cost"] == 3 * (took["prompt_tokens"] + 2 * took["completion_tokens"])
    assert 0 < row["joules"] <= 100.0 * row["seconds"] or found["energy"] == "measured"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    (day,) = http.get(f"/studiolo/v1/usage?by=day&since={today}").json()["data"]
    assert day["day"] == today
    assert http.get("/studiolo/v1/usage?until=2020-01-01").json()["data"] == []


def test_everybody_sees_their_own_and_who_may_sees_all(priced: Served) -> None:
    ada, bob, boss = key(priced, "ada"), key(priced, "bob"), key(priced, "boss", "usage")
    ask(priced, ada)
    ask(priced, bob, 2)
    ids = {each.name: each.id for each in priced.studio.records.keys.list()}

    def counts(http: httpx.Client, query: str = "") -> dict[str, int]:
        found = http.get(f"/studiolo/v1/usage?by=key,model{query}").json()["data"]
        return {each["key"]: each["requests"] for each in found if each["model"] == "tiny"}

    assert counts(ada) == {ids["ada"]: 1}
    assert counts(bob) == {ids["bob"]: 2}
    assert counts(boss) == {ids["ada"]: 1, ids["bob"]: 2}
    assert counts(boss, f"&key={ids['bob']}") == {ids["bob"]: 2}
    assert counts(ada, f"&key={ids['ada']}") == {ids["ada"]: 1}
    refused = ada.get(f"/studiolo/v1/usage?key={ids['bob']}")
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    assert priced.http().get("/studiolo/v1/usage").status_code == 401


def test_one_s_own_requests_a_page_at_a_time(priced: Served) -> None:
    ada, boss = key(priced, "ada"), key(priced, "boss", "admin")
    ask(priced, ada, 3)
    ask(priced, boss)
    page = ada.get("/studiolo/v1/requests?limit=2").json()
    assert page["has_more"] is True
    assert [each["endpoint"] for each in page["data"]] == ["POST /v1/completions"] * 2
    assert page["data"][0]["completion_tokens"] == 4
    rest = ada.get(f"/studiolo/v1/requests?limit=5&before={page['data'][-1]['id']}").json()
    assert (len(rest["data"]), rest["has_more"]) == (1, False)
    own = {each["key"] for each in boss.get("/studiolo/v1/requests").json()["data"]}
    assert len(own) == 1, "an administrator's own, too"
    theirs = boss.get(f"/studiolo/v1/requests?before={page['data'][0]['id']}").json()["data"]
    assert {each["key"] for each in theirs} <= own


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("usage?by=colour", "by"),
        ("usage?since=yesterday", "since"),
        ("usage?colour=red", "colour"),
        ("usage?by=key&by=day", "by"),
        ("requests?limit=0", "limit"),
        ("requests?limit=1001", "limit"),
        ("requests?limit=x", "limit"),
        ("requests?after=x", "after"),
    ],
)
def test_what_is_wrong_is_named(served: Served, query: str, field: str) -> None:
    refused = served.http().get(f"/studiolo/v1/{query}")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, field)
