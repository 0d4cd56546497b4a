"""What the page is made of: served as it is, under a strict policy, from here alone."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from studiolo.server.page.assets import STATIC
from tests.server.serving import Served, serving

FILES = sorted(
    path.relative_to(STATIC).as_posix()
    for path in STATIC.rglob("*")
    if path.suffix in (".js", ".css", ".svg")
)
OWN = [name for name in FILES if not name.startswith("vendor/")]


@pytest.fixture
def http(served: Served) -> httpx.Client:
    return served.http()


@pytest.mark.parametrize("address", ["/", *(f"/studio/{name}" for name in FILES)])
def test_every_file_is_served_under_the_policy(http: httpx.Client, address: str) -> None:
    reply = http.get(address)
    assert reply.status_code == 200
    name = address.removeprefix("/studio/").removeprefix("/") or "index.html"
    assert reply.content == (STATIC / name).read_bytes()
    policy = reply.headers["content-security-policy"].split("; ")
    assert policy[:8] == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    assert "require-trusted-types-for 'script'" in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    kinds = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
    kind = kinds.get(name.rpartition(".")[2], "image/svg+xml")
    assert reply.headers["content-type"] == f"{kind}; charset=utf-8"
    assert http.head(address).headers["content-length"] == str(len(reply.content))


def test_what_is_known_is_not_sent_again(http: httpx.Client) -> None:
    first = http.get("/")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = http.get("/", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert "content-security-policy" in again.headers
    assert http.get("/", headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "nothing.js",
        "index.html",
        "vendor/VENDORED.md",
        "vendor/LICENSE-htm",
        "../assets.py",
        "%2e%2e/assets.py",
        "..%2fassets.py",
        "vendor/../app.js",
        "style",
        "",
        "app.js%00.css",
        "/etc/passwd",
    ],
)
def test_nothing_else_is(served: Served, name: str) -> None:
    connection = HTTPConnection(served.url.removeprefix("http://"))  # sends dots as they are
    with closing(connection):
        connection.request("GET", f"/studio/{name}")
        reply = connection.getresponse()
        told = json.load(reply)
    assert reply.status == 404
    assert "no file" in told["error"]["message"]


def test_it_is_seen_without_a_key_and_nothing_else_is(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as running:
        running.studio.records.keys.create(name="someone")
        http = running.http()
        assert http.get("/").status_code == 200
        assert http.get("/studio/app.js").status_code == 200
        assert http.post("/studiolo/v1/continue", json={"prompt": "x"}).status_code == 401


def test_every_module_is_fetched_at_once() -> None:
    """A module that is not preloaded would be asked for after the one that imports it."""
    index = (STATIC / "index.html").read_text()
    named = set(re.findall(r'(?:href|src)="/studio/([^"]+)"', index))
    assert named == set(FILES)
    imported = {
        f"{Path(name).parent.as_posix()}/{found}".removeprefix("./").replace("vendor/./", "vendor/")
        for name in FILES
        if name.endswith(".js")
        for found in re.findall(r'from ?"\./([^"]+)"', (STATIC / name).read_text())
    }
    assert imported <= set(FILES)


@pytest.mark.parametrize("name", ["index.html", *OWN])
def test_nothing_is_inline_nor_from_elsewhere(name: str) -> None:
    text = (STATIC / name).read_text()
    addresses = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}
    assert addresses == set()
    for way_to_harm in ("innerHTML", "outerHTML", "insertAdjacent", "eval(", "new Function"):
        assert way_to_harm not in text
    assert "dangerously" not in text
    if name == "index.html":
        assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
        assert re.findall(r"<style|\bstyle=|\bon\w+=", text) == []


def test_what_is_vendored_is_what_it_says() -> None:
    told = (STATIC / "vendor" / "VENDORED.md").read_text()
    rows = re.findall(r"^\| (\w+\.js) \|.*\]\((LICENSE-\w+)\) \| `([0-9a-f]{64})` \|$", told, re.M)
    assert {name for name, _, _ in rows} == {p.name for p in (STATIC / "vendor").glob("*.js")}
    for name, licence, digest in rows:
        content = (STATIC / "vendor" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert (STATIC / "vendor" / licence).stat().st_size > 500
