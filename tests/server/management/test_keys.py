"""Keys over HTTP, and deleting what was kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from studiolo.record.contents import Policy
from tests.server.serving import Served, serving

WHOLE = {
    "name": "ci",
    "owner": "the team",
    "scopes": ["inference", "usage"],
    "models": ["tiny*"],
    "requests_per_minute": 60,
    "tokens_per_minute": 1000,
    "budget": "5/month",
    "expires": float(int(time.time()) + 3600),
}


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "records.db", policy=Policy(contents=True, receipts=True)) as running:
        yield running


@pytest.fixture
def admin(keeping: Served) -> httpx.Client:
    made = keeping.studio.records.keys.create(name="admin", scopes=["admin"])
    return keeping.http(headers={"authorization": f"Bearer {made.secret}"})


def test_a_key_is_made_used_listed_and_revoked(keeping: Served, admin: httpx.Client) -> None:
    made = admin.post("/studiolo/v1/keys", json=WHOLE)
    assert made.status_code == 200
    key = made.json()
    assert {name: key[name] for name in WHOLE} == WHOLE
    assert key["aws"]["access_key_id"]
    http = keeping.http(headers={"authorization": f"Bearer {key['secret']}"})
    assert http.get("/studiolo/v1/usage").status_code == 200
    assert http.get("/studiolo/v1/keys").status_code == 403
    listed = admin.get("/studiolo/v1/keys").json()["data"]
    assert [each["name"] for each in listed] == ["admin", "ci"]
    assert all("secret" not in each and "aws" not in each for each in listed)
    gone = admin.delete(f"/studiolo/v1/keys/{key['id']}").json()
    assert gone["revoked"] > 0
    assert http.get("/studiolo/v1/usage").status_code == 401
    assert admin.delete("/studiolo/v1/keys/nobody").status_code == 404


def test_the_first_key_closes_the_door(keeping: Served) -> None:
    http = keeping.http()
    made = http.post("/studiolo/v1/keys", json={"name": "first", "scopes": ["admin"]}).json()
    assert http.get("/studiolo/v1/keys").status_code == 401
    own = keeping.http(headers={"x-api-key": made["secret"]})
    assert len(own.get("/studiolo/v1/keys").json()["data"]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("scopes", []),
        ("scopes", ["root"]),
        ("models", []),
        ("budget", "much"),
        ("requests_per_minute", 0),
        ("expires", 5.0),
        ("colour", "red"),
    ],
)
def test_what_cannot_be_a_key_is_named(admin: httpx.Client, field: str, value: object) -> None:
    refused = admin.post("/studiolo/v1/keys", json={**WHOLE, field: value})
    assert refused.status_code == 400
    assert str(refused.json()["error"]["param"]).startswith(field)


def test_contents_are_deleted_by_key_user_or_request(keeping: Served, admin: httpx.Client) -> None:
    ids = []
    for name in ("ada", "bob"):
        made = keeping.studio.records.keys.create(name=name)
        http = keeping.http(headers={"authorization": f"Bearer {made.secret}"})
        for user in ("u1", "u2"):
            answer = http.post(
                "/v1/completions",
                json={"model": "tiny", "prompt": "x", "max_tokens": 1, "user": user},
            )
            ids.append(answer.headers["x-request-id"])
        key = made.key.id
    contents = keeping.studio.records.contents
    assert all(contents.content(id, None, admin=True) for id in ids)

    def delete(query: str) -> int:
        answer = admin.delete(f"/studiolo/v1/contents?{query}")
        return int(answer.json()["requests"]) if answer.status_code == 200 else -answer.status_code

    assert delete(f"request={ids[0]}") == 1
    assert delete(f"key={key}&user=u1") == 1
    assert delete("user=u2") == 2
    assert delete("user=nobody") == 0
    assert not any(contents.content(id, None, admin=True) for id in ids)
    for query in ("", "key=", "all=1"):
        assert delete(query) == -400
