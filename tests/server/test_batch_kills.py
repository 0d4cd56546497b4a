"""A server killed at any moment of a batch: every line is answered once, as if undisturbed."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from studiolo.record.records import Records
from tests.databases import fresh, postgres, url

__all__ = ["fresh", "postgres", "url"]
COUNT = 400
READY = "Studiolo is ready at "
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")


def lines() -> bytes:
    """Sampled and searched, constrained and free, right and wrong, some of them long."""
    bodies: list[dict[str, Any]] = []
    for i in range(COUNT // 4):
        bodies += [
            {"prompt": f"rain {i}", "max_tokens": 20 + i, "logprobs": 1, "n": 1 + i % 3},
            {"prompt": f"the cat {i}", "max_tokens": 60, "stop": "e", "seed": i},
            {"prompt": "so", "choices": ["yes", "no"], "receipt": i % 2 == 0},
            {"prompt": "the", "top_p": i + 2},
        ]
    return b"".join(
        json.dumps(
            {"custom_id": f"c{i}", "method": "POST", "url": "/v1/completions", "body": body}
        ).encode() + b"\n"
        for i, body in enumerate(bodies)
    )  # fmt: skip


class Server:
    """``studiolo serve`` in a process of its own."""

    def __init__(self, url: str) -> None:
        program = [sys.executable, "-c", "from studiolo.cli import main; main()", "serve"]
        options = ["--port", "0", "-m", "tiny", "--encoder", "tiny-encoder", "--device", "cpu"]
        self.process = subprocess.Popen(
            [*program, *options, "--records", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def client(self) -> httpx.Client:
        """Of the server, once it is ready."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline().decode()
        if not said.startswith(READY):
            assert self.process.stderr is not None
            pytest.fail(f"it said {said!r}: {self.process.stderr.read().decode()}")
        return httpx.Client(base_url=said.removeprefix(READY).strip(), timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def serving(url: str) -> Iterator[httpx.Client]:
    server = Server(url)
    try:
        with server.client() as client:
            yield client
    finally:
        server.process.terminate()
        server.process.communicate()


def begin(client: httpx.Client, data: bytes) -> None:
    form: dict[str, Any] = {"files": {"file": ("in.jsonl", data)}, "data": {"purpose": "batch"}}
    file = client.post("/v1/files", **form).raise_for_status().json()
    body = {
        "input_file_id": file["id"], "endpoint": "/v1/completions", "completion_window": "24h",
    }  # fmt: skip
    client.post("/v1/batches", json=body).raise_for_status()


def batches(client: httpx.Client) -> list[dict[str, Any]]:
    listed = client.get("/v1/batches?limit=100").raise_for_status().json()
    found: list[dict[str, Any]] = listed["data"]
    return found


def is_over(batch: dict[str, Any]) -> bool:
    return batch["status"] in ("completed", "failed", "expired", "cancelled")


def results(client: httpx.Client, batch: dict[str, Any]) -> dict[str, Any]:
    """What each line got, by its name, without what is another's in another batch."""
    found: dict[str, Any] = {}
    requests = set()
    for field in ("output_file_id", "error_file_id"):
        content = client.get(f"/v1/files/{batch[field]}/content").raise_for_status().content
        assert content.endswith(b"\n")
        numbers = []
        for each in map(json.loads, content.splitlines()):
            assert each["custom_id"] not in found
            numbers.append(int(each["id"].removeprefix("batch_req_")))
            requests.add(each["response"]["request_id"])
            body = {**each["response"]["body"]}
            body.pop("id", None)
            body.pop("created", None)
            found[each["custom_id"]] = each["response"]["status_code"], body
        assert numbers == sorted(numbers)
    assert len(requests) == COUNT
    return found


def wait(client: httpx.Client) -> list[dict[str, Any]]:
    """All batches, when all are over."""
    end = time.monotonic() + 300
    while not all(map(is_over, found := batches(client))):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


@pytest.mark.proof
def test_a_server_killed_at_any_moment_loses_and_doubles_nothing(
    proof: Callable[..., int],
    tmp_path: Path,
    tiny_home: Path,
    fresh: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGKILL at a random moment of a server with a batch: each line once, records whole."""
    kills = proof("server-batch-kills", short=3, full=50)
    for name in ("calm", "home"):
        shutil.copytree(tiny_home / "models", tmp_path / name / "models")
    data, url = lines(), fresh()
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "calm"))
    with serving(f"sqlite:///{tmp_path / 'calm.db'}") as client:
        begin(client, data)
        (batch,) = wait(client)
        calm = results(client, batch)
    assert len(calm) == COUNT

    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path / "home"))
    draw, killed = random.Random(3), 0
    while killed < kills:
        server = Server(url)
        try:
            if draw.random() < 0.15:  # while it starts
                time.sleep(draw.uniform(0, 5))
            else:
                with server.client() as client, suppress(httpx.TransportError):
                    if all(map(is_over, batches(client))):
                        begin(client, data)
                    time.sleep(draw.expovariate(1.5))
        finally:
            server.kill()
        killed += 1

    with serving(url) as client:
        if not batches(client):
            begin(client, data)
        for batch in wait(client):
            assert batch["status"] == "completed", batch
            assert batch["request_counts"] == {
                "total": COUNT, "completed": COUNT * 3 // 4, "failed": COUNT // 4,
            }  # fmt: skip
            assert results(client, batch) == calm
        count = len(batches(client))
        files = client.get("/v1/files").json()["data"]
    assert len([file for file in files if file["purpose"] == "batch_output"]) == 2 * count
    assert not list((tmp_path / "home" / "batches").iterdir())
    whole(url, tmp_path / "home", count)


def whole(url: str, home: Path, count: int) -> None:
    """The records hold what they should, each request once, and each file its bytes."""
    records = Records.open(url)
    entries = records.ledger.requests(None, limit=1_000_000)
    answered = [each for each in entries if each.endpoint == "POST /v1/completions"]
    # A kill may take the newest rows with it, but never makes two of one.
    assert len({each.id for each in answered}) == len(answered) <= COUNT * count
    for upload in records.uploads.list(None, limit=10_000):
        assert records.uploads.path(upload).stat().st_size == upload.bytes
    records.close()
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
