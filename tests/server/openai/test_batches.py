"""Batches, begun, watched and ended by OpenAI's own client."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types import Batch

import studiolo
from tests.server.serving import Served, eventually

SAID: list[Any] = [{"role": "user", "content": "the rain"}]
ENDED = ("completed", "failed", "expired", "cancelled")


def lines(url: str, *bodies: dict[str, Any]) -> bytes:
    return b"".join(
        json.dumps({"custom_id": f"c{i}", "method": "POST", "url": url, "body": body}).encode()
        + b"\n"
        for i, body in enumerate(bodies)
    )


def begun(client: openai.OpenAI, url: Any, data: bytes, **options: Any) -> Batch:
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=url, completion_window="24h", **options
    )


def ended(client: openai.OpenAI, batch: Batch) -> Batch:
    found = [batch]

    def over() -> bool:
        found[0] = client.batches.retrieve(batch.id)
        return found[0].status in ENDED

    eventually(over)
    return found[0]


def results(client: openai.OpenAI, file: str | None) -> list[Any]:
    assert file is not None
    return [json.loads(line) for line in client.files.content(file).text.splitlines()]


def test_a_batch_is_answered(
    one: openai.OpenAI, keeper: Served, tiny: str, two: openai.OpenAI
) -> None:
    url = "/v1/chat/completions"
    bodies: list[dict[str, Any]] = [
        {"model": "tiny", "messages": SAID, "max_tokens": 5 + i, "seed": i, "user": "me"}
        for i in range(6)
    ]
    bodies += [{"model": "tiny", "messages": SAID, "temperature": -1}]
    batch = begun(one, url, lines(url, *bodies), metadata={"a": "b"})
    assert batch.status == "validating"
    assert batch.object == "batch"
    assert batch.metadata == {"a": "b"}
    done = ended(one, batch)
    assert done.status == "completed"
    assert done.request_counts is not None
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (7, 6, 1)
    times = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at]
    assert None not in times
    assert times == sorted(times)  # type: ignore[type-var]
    assert done.expires_at == done.created_at + 86_400
    assert (done.failed_at, done.expired_at, done.cancelled_at, done.errors) == (None,) * 4
    lm = studiolo.load(tiny, device="cpu")
    made = results(one, done.output_file_id)
    assert [each["custom_id"] for each in made] == [f"c{i}" for i in range(6)]
    for i, each in enumerate(made):
        assert each["error"] is None
        assert each["response"]["status_code"] == 200
        body = each["response"]["body"]
        expected = lm.chat(SAID, max_tokens=5 + i, seed=i)
        assert body["choices"][0]["message"]["content"] == expected.text
        assert body["id"].removeprefix("chatcmpl-") in each["response"]["request_id"]
        entry = keeper.entry(each["response"]["request_id"])
        assert (entry.endpoint, entry.status) == (f"POST {url}", 200)
        assert (entry.model, entry.user, entry.dialect) == ("tiny", "me", "openai")
        assert entry.completion_tokens == expected.usage.completion_tokens
        assert entry.finish_reason == body["choices"][0]["finish_reason"]
        with keeper.http(headers={"authorization": f"Bearer {one.api_key}"}) as http:
            receipt = http.get(f"/v1/receipts/{each['response']['request_id']}")
            assert receipt.status_code == 200
    (wrong,) = results(one, done.error_file_id)
    assert (wrong["custom_id"], wrong["response"]["status_code"]) == ("c6", 400)
    assert wrong["response"]["body"]["error"]["param"] == "temperature"
    assert one.files.retrieve(str(done.output_file_id)).purpose == "batch_output"
    with pytest.raises(openai.NotFoundError):
        two.files.content(str(done.output_file_id))


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/completions", {"model": "tiny", "prompt": "so", "max_tokens": 3, "receipt": True}),
        ("/v1/embeddings", {"model": "tiny-encoder", "input": ["a", "b"]}),
        ("/v1/responses", {"model": "tiny", "input": "so", "max_output_tokens": 3}),
    ],
)
def test_every_kind_of_request(one: openai.OpenAI, url: str, body: dict[str, Any]) -> None:
    done = ended(one, begun(one, url, lines(url, body, body)))
    assert done.status == "completed"
    assert done.error_file_id is None
    first, second = (each["response"]["body"] for each in results(one, done.output_file_id))
    assert first.get("id", 1) != second.get("id", 2)
    assert ("receipt" in first) == ("receipt" in body)
    assert first["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"\n", ["empty_file"]),
        (b"{\n[]\n", ["invalid_json", "invalid_line"]),
        (lines("/v1/embeddings", {"input": "x"}), ["mismatched_url"]),
        (lines("/v1/completions", {}) * 2, ["duplicate_custom_id"]),
        (b"{\n" * 50, ["invalid_json"] * 10),
    ],
)
def test_a_file_that_holds_no_requests_fails(
    one: openai.OpenAI, data: bytes, codes: list[str]
) -> None:
    done = ended(one, begun(one, "/v1/completions", data))
    assert done.status == "failed"
    assert done.failed_at is not None
    assert done.errors is not None
    assert [each.code for each in done.errors.data or []] == codes
    assert done.output_file_id is None


def test_a_batch_that_nobody_began_is_cancelled(one: openai.OpenAI) -> None:
    url = "/v1/completions"
    batch = begun(one, url, lines(url, *[{"prompt": "x", "max_tokens": 60}] * 300))
    cancelled = one.batches.cancel(batch.id)
    assert cancelled.status == "cancelling"
    assert cancelled.cancelling_at is not None
    done = ended(one, batch)
    assert done.status == "cancelled"
    assert done.cancelled_at is not None
    assert one.batches.cancel(batch.id).status == "cancelled"
    if done.output_file_id is not None:
        assert len(results(one, done.output_file_id)) < 300


def test_what_was_answered_before_a_cancel_is_given(one: openai.OpenAI, keeper: Served) -> None:
    url = "/v1/completions"
    batch = begun(one, url, lines(url, *[{"prompt": "x", "max_tokens": 900}] * 300))

    def some() -> bool:
        counts = one.batches.retrieve(batch.id).request_counts
        return counts is not None and counts.completed > 0

    eventually(some)
    one.batches.cancel(batch.id)
    done = ended(one, batch)
    assert done.status == "cancelled"
    assert done.request_counts is not None
    made = results(one, done.output_file_id)
    assert 0 < len(made) == done.request_counts.completed < 300


def test_what_is_over_cannot_be_cancelled(one: openai.OpenAI) -> None:
    url = "/v1/completions"
    batch = ended(one, begun(one, url, lines(url, {"prompt": "x", "max_tokens": 1})))
    with pytest.raises(openai.ConflictError, match="is completed"):
        one.batches.cancel(batch.id)


def test_batches_are_listed_page_by_page(one: openai.OpenAI, two: openai.OpenAI) -> None:
    made = [begun(one, "/v1/completions", b"{").id for _ in range(3)]
    page = one.batches.list(limit=2)
    assert [each.id for each in page.data] == made[:0:-1]
    assert [each.id for each in one.batches.list(limit=1)][:3] == made[::-1]
    assert not {each.id for each in two.batches.list()} & set(made)


@pytest.mark.parametrize("id", ["batch_x", "..", "%00", "é", "x" * 200])
def test_anothers_batch_and_what_is_none_are_the_same(
    one: openai.OpenAI, two: openai.OpenAI, keeper: Served, id: str
) -> None:
    batch = begun(one, "/v1/completions", b"{")
    for ask in (two.batches.retrieve, two.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            ask(batch.id)
    with keeper.http(headers={"authorization": f"Bearer {one.api_key}"}) as http:
        assert http.get(f"/v1/batches/{id}").status_code == 404
        assert http.post(f"/v1/batches/{id}/cancel").status_code == 404
    with pytest.raises(openai.BadRequestError) as wrong:
        two.batches.create(
            input_file_id=batch.input_file_id, endpoint="/v1/completions", completion_window="24h"
        )
    assert wrong.value.param == "input_file_id"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"endpoint": "/v1/images/generations"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "\0"}, "input_file_id"),
        ({"input_file_id": "file-0"}, "input_file_id"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 3600}},
         "output_expires_after"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(one: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    options: dict[str, Any] = {
        "endpoint": "/v1/completions", "completion_window": "24h", "input_file_id": "file-0",
    }  # fmt: skip
    with pytest.raises(openai.BadRequestError) as wrong:
        one.batches.create(**{**options, **fields})
    assert wrong.value.param == param


def test_a_line_may_use_what_its_key_may(keeper: Served) -> None:
    key = keeper.studio.records.keys.create(
        name="narrow", scopes=("batch",), models=("tiny-encoder",)
    )
    with openai.OpenAI(base_url=f"{keeper.url}/v1", api_key=key.secret, max_retries=0) as narrow:
        url = "/v1/completions"
        done = ended(narrow, begun(narrow, url, lines(url, {"model": "tiny", "prompt": "x"})))
        (wrong,) = results(narrow, done.error_file_id)
        assert wrong["response"]["status_code"] == 403


def test_a_key_that_is_revoked_gets_nothing_more(keeper: Served) -> None:
    keys = keeper.studio.records.keys
    key = keys.create(name="brief", scopes=("batch",))
    with openai.OpenAI(base_url=f"{keeper.url}/v1", api_key=key.secret, max_retries=0) as brief:
        url = "/v1/completions"
        batch = begun(brief, url, lines(url, *[{"prompt": "x", "max_tokens": 2000}] * 300))
        keys.revoke(key.key.id)
    batches = keeper.studio.records.batches

    def over() -> bool:
        found = batches.find(batch.id, None, admin=True)
        return found is not None and found.status == "failed"

    eventually(over)
