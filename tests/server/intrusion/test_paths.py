"""No id and no name leads to a file, and no address in a body is fetched."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from studiolo.bundle.store import home
from tests.server.intrusion.guarded import Address, Guarded

TRAVERSALS = [
    "../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "%252e%252e%252fetc%252fpasswd",
    "..%5c..%5c..%5cwindows%5cwin.ini",
    "....//....//etc/passwd",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "~root/.bashrc",
    "tiny%00/../../secret",
    "tiny/../../../secret",
    "..",
    ".",
    "file-..%2f..%2fsecret",
    "file-abc%2f..%2f..%2f..%2fsecret",
    "batch_..%2f..%2fsecret",
    "hf:..%2f..%2fsecret",
    "%c0%ae%c0%ae/secret",
]


@pytest.mark.parametrize("value", TRAVERSALS)
def test_no_id_in_an_address_leads_out(guarded: Guarded, every: list[Address], value: str) -> None:
    secret = home() / "secret"
    secret.touch()
    before = sorted(home().rglob("*"))
    key = guarded.by_scope["admin"].secret
    for address in every:
        if "{" not in address.path or (address.method == "POST" and "pull" in address.path):
            continue
        body = b"{}" if address.method == "POST" else b""
        answer = guarded.served.raw(
            f"{address.method} {address.asked(value)} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {key}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        status = int(answer.split(b" ", 2)[1])
        assert 400 <= status < 500, (address, value, answer)
        assert b"root:" not in answer, address
    assert sorted(home().rglob("*")) == before


@pytest.mark.parametrize(
    "value", ["../secret", "/etc/passwd", "~", "file:/etc/passwd", "./tiny", "/", "hf:../x"]
)
def test_no_model_in_a_body_is_a_place(guarded: Guarded, value: str) -> None:
    key = guarded.by_scope["admin"].secret
    said = [{"role": "user", "content": "a"}]
    for path, body in (
        ("/v1/chat/completions", {"messages": said}),
        ("/v1/completions", {"prompt": "a"}),
        ("/v1/embeddings", {"input": "a"}),
        ("/v1/responses", {"input": "a"}),
        ("/v1/messages", {"messages": said, "max_tokens": 2}),
        ("/v1/messages/count_tokens", {"messages": said}),
        ("/api/chat", {"messages": said}),
        ("/api/generate", {"prompt": "a"}),
        ("/api/embed", {"input": "a"}),
        ("/api/show", {}),
        ("/api/pull", {"stream": False}),
        ("/studiolo/v1/continue", {"prompt": "a"}),
        ("/studiolo/v1/models/load", {}),
        ("/studiolo/v1/models/pull", {"stream": False}),
    ):
        answer = guarded.ask("POST", path, key, json={**body, "model": value})
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert "root:" not in answer.text
        # Whether there is such a file is nobody's business either.
        assert "No such file" not in answer.text
        assert "not a directory" not in answer.text.lower()


def test_nothing_is_fetched_for_whoever_asks(guarded: Guarded) -> None:
    key = guarded.full.secret
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen()
        trap.settimeout(0.2)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/x.png"
        for address in (url, "file:///etc/passwd", "http://169.254.169.254/latest/meta-data/"):
            picture = {"type": "image_url", "image_url": {"url": address}}
            source = {"type": "image", "source": {"type": "url", "url": address}}
            asked: list[tuple[str, dict[str, Any]]] = [
                (
                    "/v1/chat/completions",
                    {"messages": [{"role": "user", "content": [picture]}]},
                ),
                (
                    "/v1/messages",
                    {
                        "model": "tiny",
                        "max_tokens": 2,
                        "messages": [{"role": "user", "content": [source]}],
                    },
                ),
                (
                    "/v1/responses",
                    {
                        "input": [
                            {
                                "role": "user",
                                "content": [{"type": "input_image", "image_url": address}],
                            }
                        ]
                    },
                ),
                ("/v1/files", {"url": address}),
                ("/v1/batches", {"input_file_id": address, "endpoint": "/v1/completions"}),
            ]
            for path, body in asked:
                answer = guarded.ask("POST", path, key, json=body)
                assert 400 <= answer.status_code < 500, (path, answer.text)
                assert "root:" not in answer.text
        with pytest.raises(TimeoutError):
            trap.accept()
