"""Replicas: the same answers to the bit, and one that is killed is noticed by nobody's loss.

In this process a replica is asked for what it is to say; on Ray two of them are started as the
command ``studiolo serve --on ray`` does, and killed under load.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import Message

from studiolo.errors import InvalidRequestError, MissingExtraError
from studiolo.record.records import Records
from studiolo.server.forwarding import Ask, Forwarding
from studiolo.server.opening import Opening
from studiolo.server.replicas import Replica, Scaling, _why, run_replicas
from studiolo.server.settings import Price
from tests.server.held import held
from tests.server.replicated import (
    LOOPBACK,
    Case,
    Clients,
    Heard,
    Replicated,
    cases,
    hear,
    replicated,
)
from tests.server.serving import MEMORY, SETTINGS, Served, eventually, serving
from tests.server.test_batch_kills import batches, begin, is_over, lines, results, wait

PRICED = replace(SETTINGS, prices={"tiny": Price(completion=1e6)})
OPENING = Opening(PRICED, ("tiny",), MEMORY, device="cpu")
ASK = {"model": "tiny", "max_tokens": 24, "ignore_eos": True, "logprobs": 2}

SCOPE: dict[str, Any] = {
    "type": "http", "method": "POST", "path": "/v1/completions", "query_string": b"",
    "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "scheme": "http",
}  # fmt: skip


@contextmanager
def behind_a_door(ask: Ask) -> Iterator[str]:
    """A server that forwards by ``ask``; its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        Forwarding(ask, SETTINGS), lifespan="off", log_level="critical", timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[dict[str, Replica]]:
    """Two in this process, with records in common."""
    made = {name: Replica(OPENING, str(tmp_path / "records.db")) for name in "ab"}
    yield made
    for each in made.values():
        each.close()


def answers(url: str, prompts: range, *, stream: bool = False) -> list[Any]:
    """What each prompt is answered, in parts that do not depend on the time."""
    found: list[Any] = []
    with httpx.Client(base_url=url, timeout=120) as http:
        for i in prompts:
            body = {**ASK, "prompt": f"the {i} cats", "seed": i, "stream": stream}
            got = http.post("/v1/completions", json=body)
            assert got.status_code == 200, got.text
            if stream:
                lines = [json.loads(x[6:]) for x in got.text.split("\n\n")[:-2]]
                found.append("".join(each["choices"][0]["text"] for each in lines))
            else:
                made = got.json()
                found.append((made["choices"], made["usage"], made["system_fingerprint"]))
    return found


def by(replicas: dict[str, Replica], name: str) -> Ask:
    async def ask(
        token: str, scope: dict[str, Any], body: bytes
    ) -> AsyncGenerator[list[Message], None]:
        async for batch in replicas[name].answer(token, scope, body):
            yield batch

    return ask


def test_two_replicas_answer_alike_to_the_bit(replicas: dict[str, Replica]) -> None:
    with behind_a_door(by(replicas, "a")) as first, behind_a_door(by(replicas, "b")) as second:
        one, other = answers(first, range(4)), answers(second, range(4))
        assert one == other
        texts = [choices[0]["text"] for choices, _, _ in one]
        assert answers(second, range(4), stream=True) == texts


def test_records_are_shared(replicas: dict[str, Replica]) -> None:
    with behind_a_door(by(replicas, "a")) as first, behind_a_door(by(replicas, "b")) as second:
        made = httpx.post(f"{first}/studiolo/v1/keys", json={"name": "k", "scopes": ["admin"]})
        key = {"authorization": f"Bearer {made.json()['secret']}"}
        while httpx.get(f"{second}/v1/models").status_code != 401:
            time.sleep(0.05)  # within a second every replica knows
        assert httpx.get(f"{second}/studiolo/v1/keys", headers=key).status_code == 200
        # What is spent at one is spent at the other, once it is in the records.
        made = httpx.post(
            f"{second}/studiolo/v1/keys", json={"name": "b", "budget": "1/total"}, headers=key
        )
        key = {"authorization": f"Bearer {made.json()['secret']}"}
        ask = {**ASK, "prompt": "the"}
        answered = httpx.post(f"{first}/v1/completions", json=ask, headers=key)
        assert answered.status_code == 200
        eventually(
            lambda: httpx.post(f"{second}/v1/completions", json=ask, headers=key).status_code == 429
        )
    replicas["a"]._studio.records.ledger.flush()
    rows = replicas["b"]._studio.records.ledger.requests(None, admin=True)
    assert answered.headers["x-request-id"] in [row.id for row in rows]


def test_leaving_cancels_in_the_replica(replicas: dict[str, Replica]) -> None:
    studio = replicas["a"]._studio

    async def main() -> None:
        body = json.dumps({**ASK, "prompt": "x"}).encode()
        answer = replicas["a"].answer("", SCOPE, body)
        getting = asyncio.ensure_future(anext(answer))
        while not studio.house.engine.loop.scheduler.jobs > 1:
            await asyncio.sleep(0.01)
        getting.cancel()
        await asyncio.gather(getting, return_exceptions=True)
        await answer.aclose()
        while studio.room.count:
            await asyncio.sleep(0.01)

    with held(studio.house):
        asyncio.run(main())
    studio.records.ledger.flush()
    (row,) = studio.records.ledger.requests(None, admin=True)
    assert row.error in ("ClientDisconnect", "CancelledError")


def test_an_answer_that_takes_long_gives_signs_of_life(
    replicas: dict[str, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studiolo.server.replicas.BEAT", 0.01)

    async def main() -> list[list[Message]]:
        body = json.dumps({**ASK, "prompt": "x"}).encode()
        answer, batches = replicas["a"].answer("", SCOPE, body), []
        with held(replicas["a"]._studio.house):
            batches += [await anext(answer) for _ in range(3)]
        batches += [batch async for batch in answer]
        return batches

    batches = asyncio.run(main())
    assert batches[:3] == [[], [], []]
    messages = [message for batch in batches for message in batch]
    assert [each["type"] for each in messages] == ["http.response.start", "http.response.body"]
    assert messages[0]["status"] == 200


def test_a_replica_says_when_it_is_ill(replicas: dict[str, Replica]) -> None:
    replicas["a"].check_health()
    replicas["a"]._studio.house.close()
    with pytest.raises(RuntimeError, match="the engine has stopped"):
        replicas["a"].check_health()


def test_scaling_is_checked() -> None:
    assert Scaling(2, 4).target == 16
    for least, most in ((0, 1), (3, 2)):
        with pytest.raises(InvalidRequestError, match="replicas"):
            Scaling(least, most)


def test_without_ray_serve_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with socket.socket() as unused, pytest.raises(MissingExtraError, match="--on ray"):
        run_replicas(OPENING, None, Scaling(1, 1), unused, lambda _: None)


@pytest.mark.parametrize(
    ("said", "message", "remedy"),
    [
        (
            "The deployment failed to start 3 times in a row.\nray::Replica() (pid=1)\n"
            "  File 'replicas.py', line 1, in open\nValueError: x\n\nDuring handling:\n"
            "studiolo.errors.MemoryLimitError: tiny takes 5 MB, and 1 MB is left\nTake another.\n",
            "replicas cannot be opened: tiny takes 5 MB, and 1 MB is left",
            "Take another.",
        ),
        ("RuntimeError: gone", "replicas cannot be opened: gone", None),
        ("", "replicas cannot be opened, and Ray Serve does not say why", None),
    ],
)
def test_it_is_told_why_replicas_cannot_be_opened(
    said: str, message: str, remedy: str | None
) -> None:
    status = SimpleNamespace(deployments={"replica": SimpleNamespace(message=said)})
    error = _why({"studiolo-1": status}, "studiolo-1")
    assert (error.message, error.remedy) == (message, remedy)
    assert "does not say" in _why({}, "studiolo-1").message


@pytest.fixture(scope="module")
def two(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    """Two replicas on Ray, as the command starts them."""
    if sys.platform != "linux":
        pytest.skip("processes are looked at in /proc")
    with replicated(tmp_path_factory.mktemp("replicated")) as running:
        assert running.errors.read_text() == "", "Ray's own words are not for the user"
        yield running


@pytest.fixture(scope="module")
def expected(served: Served) -> list[tuple[Case, Heard]]:
    """What one server in one process answers to each case, asked alone."""
    found = [(case, hear(served.http(), case)) for case in cases()]
    assert all(heard.ended and heard.text for _, heard in found)
    assert sum(bool(heard.scores) for _, heard in found) == 3 * 4
    return found


def test_both_answer_as_one_server_does(two: Replicated, served: Served) -> None:
    """To the bit: what is in the receipt, and how probable each token was."""
    assert len(two.metrics()) == 2
    with httpx.Client(base_url=two.url, timeout=60) as http:
        for i in range(16):  # each with a beginning of its own, and so at this or that replica
            asked = {**ASK, "prompt": f"{i} cats sat", "seed": i, "receipt": True}
            alone, there = (
                client.post("/v1/completions", json=asked).raise_for_status().json()
                for client in (served.http(), http)
            )
            assert there["receipt"] == alone["receipt"]
            assert there["choices"] == alone["choices"]
            assert there["system_fingerprint"] == alone["system_fingerprint"]
    answered = re.compile(r'studiolo_requests_total\{.*"POST /v1/completions".*\} (\S+)')
    counts = [float(answered.findall(page)[0]) for page in two.metrics().values()]
    assert len(counts) == 2, "one of them answered everything"
    assert sum(counts) == 16


def test_the_door_is_that_of_one_server(two: Replicated) -> None:
    with httpx.Client(base_url=two.url, timeout=60) as http:
        assert http.get("/ready").json() == {"status": "ready", "wrong": []}
        assert [each["id"] for each in http.get("/v1/models").json()["data"]] == [
            "tiny", "tiny-encoder",
        ]  # fmt: skip
        assert "Studiolo" in http.get("/").text
        got = http.post("/v1/chat/completions", content=bytes(17 << 20))
        assert (got.status_code, got.json()["error"]["code"]) == (413, "TooLargeError")
        assert got.headers["x-request-id"].startswith("req_")
        assert http.get("/v1/models", headers={"host": "studio.example"}).status_code == 403
        assert http.get("/v1/models", headers={"x-forwarded-for": "1.1.1.1"}).status_code == 403
    host, port = two.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as link:
        link.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
                     b"Content-Length: 0\r\n\r\n")  # fmt: skip
        assert link.recv(100).startswith(b"HTTP/1.1 400 ")


def test_nothing_listens_to_other_machines_or_tells_them_of_us(two: Replicated) -> None:
    family = two.family()
    assert len(family) > 6
    assert two.listens_at() <= set(LOOPBACK)
    (head,) = (pid for pid, name in family.items() if "dashboard.py" in name)  # it would report
    assert "--disable-frontend" in family[head]
    environment = Path(f"/proc/{head}/environ").read_bytes().split(b"\0")
    assert {b"RAY_USAGE_STATS_ENABLED=0", b"RAY_AUTH_MODE=token"} <= set(environment)


@pytest.mark.proof
def test_a_replica_killed_under_load_costs_nobody_an_answer(
    proof: Callable[..., int], two: Replicated, expected: list[tuple[Case, Heard]]
) -> None:
    """SIGKILL to a replica under load: right answers or clean errors, and it comes back."""
    kills, draw = proof("replica-kills", short=1, full=20), random.Random(7)
    with Clients(two.url, expected, 8) as clients:
        for _ in range(kills):
            clients.more(20)
            time.sleep(draw.uniform(0, 1))
            before, old = set(two.metrics()), two.replicas()
            assert len(old) == 2
            os.kill(draw.choice(old), signal.SIGKILL)
            end = time.monotonic() + 120
            while len(now := set(two.metrics())) < 2 or now == before:
                assert time.monotonic() < end, two.errors.read_text()
                time.sleep(0.2)
            assert not clients.wrong
            assert httpx.get(f"{two.url}/ready", timeout=10).status_code == 200
        clients.more(20)
    assert not clients.wrong
    assert clients.told["answered"] >= 20 * (kills + 1)


@pytest.mark.proof
def test_a_batch_goes_on_when_its_replica_is_killed(
    proof: Callable[..., int], two: Replicated, tiny_home: Path, tmp_path: Path
) -> None:
    """SIGKILL to the replica that works on a batch: another goes on, each line once."""
    kills, data = proof("replica-kills", short=1, full=10), lines()
    with serving(tmp_path / "calm.db") as alone:
        begin(alone.http(), data)
        (batch,) = wait(alone.http())
        calm = results(alone.http(), batch)
    with httpx.Client(base_url=two.url, timeout=60) as http:
        for _ in range(kills):
            begin(http, data)
            killed = None
            while killed is None:
                (batch,) = (each for each in batches(http) if not is_over(each))
                working = tiny_home / "batches" / batch["id"]
                if (working / "results.jsonl").is_file() and (working / "worker").is_file():
                    killed = int((working / "worker").read_text().split("-")[-2])
                    os.kill(killed, signal.SIGKILL)
            while not all(map(is_over, batches(http))):
                time.sleep(0.1)
            assert killed not in two.replicas()
        for batch in wait(http):
            assert batch["status"] == "completed"
            assert results(http, batch) == calm
        assert len(batches(http)) == kills


def test_ctrl_c_ends_all_of_it(two: Replicated) -> None:
    family, folder = two.family(), two.errors.parent
    with httpx.Client(base_url=two.url, timeout=60) as http:
        ask = {**ASK, "prompt": "the", "stream": True, "seed": 1}
        with http.stream("POST", "/v1/completions", json=ask) as answer:
            id, lines = answer.headers["x-request-id"], answer.iter_lines()
            next(lines)
            os.killpg(two.process.pid, signal.SIGINT)
            assert list(lines)[-2] == "data: [DONE]"
    assert two.process.wait(timeout=60) == 0
    assert two.process.stdout is not None
    assert two.process.stdout.read() == "", "there is one line, when it is ready"
    assert two.errors.read_text().splitlines()[-1] == "Stopped."
    eventually(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in family))
    records = Records.open(str(folder / "records.db"))
    (entry,) = (each for each in records.ledger.requests(None, admin=True) if each.id == id)
    assert (entry.status, entry.completion_tokens) == (200, ASK["max_tokens"])
    records.close()
