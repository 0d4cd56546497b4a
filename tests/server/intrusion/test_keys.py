"""No key, a wrong one, one of another scope, one of another model."""

from __future__ import annotations

import hmac
import time
from typing import Any

import pytest

from tests.server.intrusion.guarded import ANY_KEY, OPEN, Address, Guarded


def test_nothing_is_told_without_one(guarded: Guarded, every: list[Address]) -> None:
    for address in every:
        if address.path in OPEN:
            continue
        answer = guarded.ask(address.method, address.asked("tiny"), None, json={})
        assert answer.status_code in (401, 403), address  # AWS says 403
        assert "key" in answer.text.lower(), address


def test_nothing_but_the_document_is_told_without_the_scope_for_it(
    guarded: Guarded, every: list[Address]
) -> None:
    """Each address lacks its scope with one of the keys at least, and says so first."""
    for address in every:
        if address.path in OPEN | ANY_KEY:
            continue
        statuses = {
            scope: guarded.ask(
                address.method, address.asked("none-such"), key.secret, json={}
            ).status_code
            for scope, key in guarded.by_scope.items()
        }
        assert statuses["admin"] != 403, address
        if address.hidden and set(statuses.values()) == {404}:
            continue  # it says that there is nothing here
        refused = [scope for scope, status in statuses.items() if status == 403]
        assert refused, (address, statuses)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Basic YTpi",
        "Bearer sk-studiolo-",
        "Bearer sk-studiolo-aaaaaaaaaaaa-" + "x" * 43,
        "Bearer sk-" + "x" * 10_000,
        "Bearer \xff\xfe",
        "Bearer null",
        "Bearer ' OR 1=1 --",
        "AWS4-HMAC-SHA256 Credential=x",
        "AWS4-HMAC-SHA256 Credential=STUDIOLOAAAAAAAAAAAA/20261122/us-east-1/bedrock/"
        "aws4_request, SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
    ],
)
def test_a_key_that_is_none_is_refused(guarded: Guarded, header: str) -> None:
    raw = [("authorization", header.encode("latin-1"))]
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions")):
        answer = guarded.served.http().request(method, path, headers=raw)  # type: ignore[arg-type]
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "authentication_error"
    raw = [("x-api-key", header.encode("latin-1"))]
    answer = guarded.served.http().request("GET", "/v1/models", headers=raw)  # type: ignore[arg-type]
    assert answer.status_code == 401


def test_one_wrong_letter_is_wrong(guarded: Guarded) -> None:
    right = guarded.full.secret
    assert guarded.ask("GET", "/v1/models", right).status_code == 200
    swapped = "B" if right[-1] != "B" else "C"
    for wrong in (right[:-1] + swapped, right + "A", right[:-1], right.upper(), right[3:]):
        assert guarded.ask("GET", "/v1/models", wrong).status_code == 401


def test_one_that_was_revoked_or_has_run_out_is_wrong(guarded: Guarded) -> None:
    keys = guarded.served.studio.records.keys
    short = keys.create(name="short", expires=time.time() + 1.0)
    gone = keys.create(name="gone")
    assert guarded.ask("GET", "/v1/models", gone.secret).status_code == 200
    keys.revoke(gone.key.id)
    assert guarded.ask("GET", "/v1/models", gone.secret).status_code == 401
    time.sleep(max(0.0, (short.key.expires or 0.0) - time.time()))
    assert guarded.ask("GET", "/v1/models", short.secret).status_code == 401


def test_one_of_another_model_neither_sees_nor_uses_it(guarded: Guarded) -> None:
    key = guarded.narrow.secret
    listed = guarded.ask("GET", "/v1/models", key).json()["data"]
    assert [each["id"] for each in listed] == ["tiny-encoder"]
    assert guarded.ask("GET", "/v1/models/tiny", key).status_code == 404
    said = [{"role": "user", "content": "a"}]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", {"model": "tiny", "messages": said}),
        ("/v1/completions", {"model": "tiny", "prompt": "a"}),
        ("/v1/completions", {"prompt": "a"}),  # the default is no way round
        ("/v1/responses", {"model": "tiny", "input": "a"}),
        ("/v1/messages", {"model": "tiny", "max_tokens": 2, "messages": said}),
        ("/v1/messages/count_tokens", {"model": "tiny", "messages": said}),
        ("/api/chat", {"model": "tiny", "messages": said}),
        ("/api/generate", {"model": "tiny", "prompt": "a"}),
        ("/api/show", {"model": "tiny"}),
        ("/model/tiny/converse", {"messages": [{"role": "user", "content": [{"text": "a"}]}]}),
        ("/model/tiny/invoke", {"prompt": "a"}),
        ("/studiolo/v1/continue", {"model": "tiny", "prompt": "a"}),
    ]
    for path, body in asked:
        answer = guarded.ask("POST", path, key, json=body)
        assert answer.status_code in (403, 404), (path, answer.text)
    for path in ("/api/tags", "/api/ps", "/foundation-models", "/studiolo/v1/models"):
        answer = guarded.ask("GET", path, key)
        assert '"tiny"' not in answer.text, path
        assert '"tiny:' not in answer.text, path
    own = guarded.ask("POST", "/v1/embeddings", key, json={"input": "a"})
    assert own.status_code == 200


def test_keys_are_compared_in_constant_time_whether_they_are_there_or_not(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def watched(ours: bytes, theirs: bytes) -> bool:
        compared.append((len(ours), len(theirs)))
        return compare(ours, theirs)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    keys = guarded.served.studio.records.keys
    random = guarded.full.secret[-43:]
    for id in (guarded.full.key.id, "aaaaaaaaaaaa"):
        keys.find(f"sk-studiolo-{id}-{random[::-1]}")
    assert compared == [(32, 32), (32, 32)]
