"""Files, kept and given back by OpenAI's own client."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.server.serving import Served, serving

LINES = b'{"custom_id": "a"}\n'


def test_a_file_is_kept_and_given_back(one: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "Zoë's input.jsonl"
    path.write_bytes(LINES)
    kept = [
        one.files.create(file=path, purpose="batch"),
        one.files.create(file=LINES, purpose="batch"),
        one.files.create(file=("x.jsonl", io.BytesIO(LINES), "text/plain"), purpose="batch"),
    ]
    assert [each.filename for each in kept] == [path.name, "upload", "x.jsonl"]
    for each in kept:
        assert (each.bytes, each.purpose, each.status) == (len(LINES), "batch", "processed")
        assert abs(each.created_at - time.time()) < 60
        assert one.files.retrieve(each.id) == each
        assert one.files.content(each.id).read() == LINES


def test_files_are_listed_page_by_page(one: openai.OpenAI) -> None:
    made = [one.files.create(file=LINES, purpose="batch").id for _ in range(5)]
    page = one.files.list(limit=2)
    assert [each.id for each in page.data] == made[:2:-1]
    assert page.has_more
    assert [each.id for each in one.files.list(limit=2)][:5] == made[::-1]
    assert next(iter(one.files.list(after=made[1], limit=1))).id == made[0]
    assert {each.purpose for each in one.files.list(purpose="batch_output")} <= {"batch_output"}


def test_a_file_lives_as_long_as_its_client_says(one: openai.OpenAI) -> None:
    made = one.files.create(
        file=LINES, purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at is not None
    assert made.expires_at - made.created_at in (3599, 3600, 3601)


def test_a_file_is_deleted(one: openai.OpenAI, keeper: Served) -> None:
    made = one.files.create(file=LINES, purpose="batch")
    path = keeper.studio.records.uploads.folder / made.id
    assert path.exists()
    assert one.files.delete(made.id).deleted
    assert not path.exists()
    for ask in (one.files.retrieve, one.files.content, one.files.delete):
        with pytest.raises(openai.NotFoundError, match="there is no file"):
            ask(made.id)


@pytest.mark.parametrize("id", ["file-x", "..", "..%2f..%2fkeys", "%00", "x" * 500, "é"])
def test_anothers_file_and_what_is_none_are_the_same(
    one: openai.OpenAI, two: openai.OpenAI, keeper: Served, id: str
) -> None:
    made = one.files.create(file=LINES, purpose="batch")
    with pytest.raises(openai.NotFoundError) as theirs:
        two.files.retrieve(made.id)
    assert made.id not in [each.id for each in two.files.list()]
    assert theirs.value.code == "NotFoundError"
    with keeper.http(headers={"authorization": f"Bearer {two.api_key}"}) as http:
        for path in (f"/v1/files/{made.id}", f"/v1/files/{made.id}/content", f"/v1/files/{id}"):
            assert http.get(path).status_code == 404
            assert http.delete(path).status_code in (404, 405)


def form(client: httpx.Client, **fields: Any) -> httpx.Response:
    file = fields.pop("file", LINES)
    return client.post("/v1/files", files={"file": file} if file else None, data=fields)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "vision"}, "purpose"),
        ({}, "purpose"),
        ({"purpose": "batch", "file": None}, "body"),
        ({"purpose": "batch", "colour": "red"}, "colour"),
        ({"purpose": "batch", "expires_after[anchor]": "created_at"}, "expires_after[seconds]"),
        ({"purpose": "batch", "expires_after[anchor]": "now", "expires_after[seconds]": "3600"},
         "expires_after[anchor]"),
        ({"purpose": "batch", "expires_after[anchor]": "created_at",
          "expires_after[seconds]": "5"}, "expires_after[seconds]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(served: Served, fields: dict[str, Any], param: str) -> None:
    answer = form(served.http(), **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "order=asc", "after=%00", "colour=red"])
def test_a_wrong_page_is_refused(served: Served, query: str) -> None:
    answer = served.http().get(f"/v1/files?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == query.partition("=")[0]


def test_a_file_may_be_as_large_as_a_body(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db", max_body=10_000) as small:
        assert form(small.http(), purpose="batch", file=b"x" * 9_000).status_code == 200
        answer = form(small.http(), purpose="batch", file=b"x" * 10_000)
        assert answer.status_code == 413
        assert "10,000 bytes" in answer.json()["error"]["message"]


def test_all_files_of_a_key_have_a_limit(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db", uploads=10_000) as small:
        first = form(small.http(), purpose="batch", file=b"x" * 9_000)
        answer = form(small.http(), purpose="batch", file=b"x" * 2_000)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["param"] == "file"
        for number in ("2,000", "9,000", "10,000", "Delete some"):
            assert number in error["message"]
        assert small.http().delete(f"/v1/files/{first.json()['id']}").status_code == 200
        assert form(small.http(), purpose="batch", file=b"x" * 2_000).status_code == 200


def test_a_key_for_talking_alone_keeps_no_files(keeper: Served, one: openai.OpenAI) -> None:
    key = keeper.studio.records.keys.create(name="talker", scopes=("inference",))
    with (
        openai.OpenAI(base_url=f"{keeper.url}/v1", api_key=key.secret, max_retries=0) as talker,
        pytest.raises(openai.PermissionDeniedError, match="batch"),
    ):
        talker.files.list()
