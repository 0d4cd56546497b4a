"""Pages of others, names made to point here, proxies, other machines."""

from __future__ import annotations

import httpx
import pytest
from starlette.testclient import TestClient

from tests.server.intrusion.guarded import Guarded
from tests.server.serving import Served


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8000"},
        {"host": "localhost.evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "evil.example@localhost"},
        {"host": "localhost@evil.example"},
        {"host": "localhost:80:80"},
        {"host": "localhost:x"},
        {"host": "127.1"},
        {"host": "0.0.0.0"},
        {"host": "192.168.0.1"},
        {"host": "[::ffff:192.168.0.1]"},
        {"host": "[::1"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "file://"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "chrome-extension://abc"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
        {"x-forwarded-for": "203.0.113.5"},
        {"x-real-ip": "127.0.0.1"},
        {"forwarded": "for=203.0.113.5"},
    ],
    ids=str,
)
def test_pages_and_names_of_others_are_refused(served: Served, headers: dict[str, str]) -> None:
    for method, path in (
        ("GET", "/v1/models"),
        ("POST", "/v1/completions"),
        ("POST", "/api/chat"),
        ("GET", "/"),
        ("OPTIONS", "/v1/completions"),
    ):
        answer = served.http().request(
            method, path, headers=headers, content=b"{}" if method == "POST" else None
        )
        assert answer.status_code == 403, (method, path)
        assert "only programs and pages of this machine" in answer.text
        assert not allows(answer)


@pytest.mark.parametrize("ported", [True, False])
def test_an_origin_must_be_this_very_server(served: Served, ported: bool) -> None:
    http, own = served.http(), served.url.removeprefix("http://")
    host = own if ported else own.split(":")[0]
    fine = http.get("/v1/models", headers={"host": host, "origin": f"http://{host}"})
    assert fine.status_code == 200
    for other in (
        f"https://{host}",
        f"http://{host}0",
        "http://localhost:1",
        f"http://{host}/",
    ):
        answer = http.get("/v1/models", headers={"host": host, "origin": other})
        assert answer.status_code == 403, other


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.8.8", "[::1]:9"])
def test_this_machine_has_several_names(served: Served, host: str) -> None:
    assert served.http().get("/v1/models", headers={"host": host}).status_code == 200


def test_a_link_from_elsewhere_may_lead_here(served: Served) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert served.http().get("/", headers=headers).status_code == 200


def test_an_old_client_that_names_no_host_is_refused(served: Served) -> None:
    assert served.raw(b"GET /v1/models HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def test_who_is_on_another_machine_is_refused_whatever_it_says(served: Served) -> None:
    app = served.server.config.loaded_app
    for client, status in ((("203.0.113.5", 1), 403), (("127.0.0.1", 1), 200)):
        http = TestClient(app, base_url="http://localhost", client=client)
        assert http.get("/v1/models").status_code == status


def test_nothing_is_allowed_to_pages_elsewhere(guarded: Guarded) -> None:
    """With keys, such a page may ask; but no browser lets it read, or ask in earnest."""
    asking = {
        "origin": "http://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    for path in ("/v1/chat/completions", "/v1/models", "/", "/live", "/api/chat"):
        for key in (None, guarded.full.secret):
            for method in ("OPTIONS", "GET", "POST"):
                answer = guarded.ask(method, path, key, headers=asking)
                assert not allows(answer), (method, path)
                assert "set-cookie" not in answer.headers


def test_no_answer_is_sniffed_or_shown_within_a_page_elsewhere(guarded: Guarded) -> None:
    answer = guarded.ask("POST", "/v1/completions", guarded.full.secret, json={"prompt": "a"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    page = guarded.ask("GET", "/", None)
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def allows(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]
