"""What is of one key is not there for another, and there for whoever may see all."""

from __future__ import annotations

import json

from tests.server.intrusion.guarded import CANARY, Guarded


def test_files(guarded: Guarded) -> None:
    mine, other = guarded.full.secret, guarded.other.secret
    line = {"custom_id": "1", "method": "POST", "url": "/v1/completions",
            "body": {"prompt": CANARY, "max_tokens": 1}}  # fmt: skip
    made = guarded.ask(
        "POST", "/v1/files", mine, data={"purpose": "batch"},
        files={"file": ("a.jsonl", json.dumps(line).encode())},
    )  # fmt: skip
    assert made.status_code == 200, made.text
    id = made.json()["id"]
    assert CANARY in guarded.ask("GET", f"/v1/files/{id}/content", mine).text
    for method, path in (
        ("GET", f"/v1/files/{id}"),
        ("GET", f"/v1/files/{id}/content"),
        ("DELETE", f"/v1/files/{id}"),
    ):
        answer = guarded.ask(method, path, other)
        assert answer.status_code == 404, (method, path)
        assert CANARY not in answer.text
    assert id not in guarded.ask("GET", "/v1/files", other).text
    batch = {"input_file_id": id, "endpoint": "/v1/completions", "completion_window": "24h"}
    assert guarded.ask("POST", "/v1/batches", other, json=batch).status_code in (400, 404)
    started = guarded.ask("POST", "/v1/batches", mine, json=batch)
    assert started.status_code == 200, started.text
    number = started.json()["id"]
    for method, path in (
        ("GET", f"/v1/batches/{number}"),
        ("POST", f"/v1/batches/{number}/cancel"),
    ):
        assert guarded.ask(method, path, other).status_code == 404, path
    assert number not in guarded.ask("GET", "/v1/batches", other).text
    assert guarded.ask("GET", f"/v1/batches/{number}", mine).status_code == 200


def test_responses_and_receipts(guarded: Guarded) -> None:
    mine, other = guarded.full.secret, guarded.other.secret
    made = guarded.ask(
        "POST", "/v1/responses", mine,
        json={"input": CANARY, "max_output_tokens": 20, "store": True},
    )  # fmt: skip
    assert made.status_code == 200, made.text
    id = made.json()["id"]
    assert guarded.ask("GET", f"/v1/responses/{id}", mine).status_code == 200
    for method, path in (
        ("GET", f"/v1/responses/{id}"),
        ("GET", f"/v1/responses/{id}/input_items"),
        ("DELETE", f"/v1/responses/{id}"),
        ("GET", f"/v1/receipts/{id}"),
    ):
        answer = guarded.ask(method, path, other)
        assert answer.status_code == 404, (method, path, answer.text)
        assert CANARY not in answer.text
    follow = {"input": "a", "previous_response_id": id, "max_output_tokens": 20}
    assert guarded.ask("POST", "/v1/responses", other, json=follow).status_code in (400, 404)


def test_usage_requests_and_keys(guarded: Guarded) -> None:
    mine = guarded.ask("POST", "/v1/completions", guarded.full.secret,
                       json={"prompt": "a", "max_tokens": 1, "user": "anna-of-full"})  # fmt: skip
    id = mine.headers["x-request-id"]
    guarded.served.entry(id)
    theirs = guarded.ask("GET", "/studiolo/v1/requests", guarded.other.secret)
    assert theirs.status_code in (200, 403)
    assert id not in theirs.text
    assert "anna-of-full" not in theirs.text
    used = guarded.ask("GET", "/studiolo/v1/usage?by=key", guarded.other.secret)
    assert guarded.full.key.id not in used.text
    assert guarded.ask("GET", "/studiolo/v1/keys", guarded.other.secret).status_code == 403
    listed = guarded.ask("GET", "/studiolo/v1/keys", guarded.by_scope["admin"].secret)
    assert listed.status_code == 200
    assert guarded.full.key.id in listed.text
    for key in (guarded.full, guarded.other, guarded.by_scope["admin"]):
        assert key.secret not in listed.text
