"""What was asked stands nowhere but in the answer and, if so is the policy, its contents."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

import pytest

from tests.server.intrusion.guarded import CANARY, Guarded
from tests.server.serving import Served


def test_it_is_in_no_log_no_row_and_no_error(
    served: Served, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("uvicorn.error").addHandler(caplog.handler)
    said = [{"role": "user", "content": CANARY}]
    wrong: list[tuple[str, Any]] = [
        ("/v1/chat/completions", {"messages": said, "temperature": -1}),
        ("/v1/chat/completions", {"messages": said, "max_tokens": 100_000}),
        ("/v1/chat/completions", {"messages": said, "unknown": 1}),
        ("/v1/chat/completions", {"messages": said, "model": "nobody"}),
        ("/v1/chat/completions", {"messages": [*said, {"role": "odd", "content": "x"}]}),
        ("/v1/completions", {"prompt": CANARY * 2000}),
        ("/v1/completions", {"prompt": CANARY, "regex": "("}),
        ("/v1/embeddings", {"input": CANARY * 20}),
        ("/v1/responses", {"input": CANARY, "temperature": -1}),
        ("/v1/chat/completions", {"messages": CANARY}),
        ("/v1/chat/completions", {"messages": [CANARY]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [CANARY]}]}),
        ("/v1/completions", {"prompt": [CANARY, 5]}),
        ("/v1/completions", {"prompt": [[CANARY]]}),
        ("/v1/embeddings", {"input": {"text": CANARY}}),
        ("/v1/embeddings", {"input": [5, CANARY]}),
        ("/v1/responses", {"input": [CANARY]}),
        ("/v1/messages", {"model": "tiny", "messages": CANARY, "max_tokens": 1}),
        ("/v1/messages", {"model": "tiny", "system": [CANARY], "messages": said, "max_tokens": 1}),
        ("/v1/messages", CANARY),
        ("/api/chat", {"model": "tiny", "messages": [CANARY]}),
        ("/api/generate", {"model": "tiny", "prompt": [CANARY]}),
        ("/model/tiny/converse", {"messages": [{"role": "user", "content": CANARY}]}),
        ("/model/tiny/invoke", {"inputText": [CANARY]}),
        ("/v1/messages", {"model": "tiny", "messages": said, "max_tokens": 0}),
        ("/api/chat", {"model": "nobody", "messages": said}),
        ("/api/generate", {"model": "tiny", "prompt": CANARY, "options": {"odd": 1}}),
        ("/model/tiny/converse", {"messages": [{"role": "user", "content": [{"text": CANARY}]}],
                                  "odd": 1}),
        ("/studiolo/v1/continue", {"prompt": CANARY, "temperature": -1}),
    ]  # fmt: skip
    http = served.http()
    for path, body in wrong:
        answer = http.post(path, json=body)
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert CANARY not in answer.text, (path, answer.text)
    fine = http.post("/v1/completions", json={"prompt": CANARY, "max_tokens": 3, "stream": True})
    assert fine.status_code == 200

    def broken(*_: object, **__: object) -> None:
        raise ValueError(f"cannot {CANARY}")

    house = served.studio.house
    house.tell = broken  # type: ignore[method-assign,assignment]
    try:
        answer = http.post("/v1/completions", json={"prompt": CANARY})
    finally:
        del house.tell
    assert answer.status_code == 500
    assert CANARY not in answer.text
    served.raw(b"POST /" + quote(CANARY).encode() + b"\x00 HTTP/1.1\r\n\r\n" + CANARY.encode())
    shown = capfd.readouterr()
    assert CANARY not in caplog.text + shown.out + shown.err
    for entry in served.entries():
        assert CANARY not in str(entry)
    assert CANARY not in http.get("/metrics").text


def test_a_secret_is_shown_once_and_never_again(
    guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    guarded.ask("GET", "/v1/models", guarded.full.secret)
    guarded.ask("GET", "/v1/models", guarded.full.secret + "x")
    random = guarded.full.secret[-43:]
    assert random not in caplog.text
    assert random not in str(guarded.served.entries())
    assert random not in repr(guarded.full)
    guarded.served.studio.records.ledger.flush()
    for path in guarded.records.parent.glob("records.db*"):
        assert random.encode() not in path.read_bytes()
