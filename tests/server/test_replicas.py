"""Replicas: the same answers to the bit, and one that is killed is noticed by nobody's loss.

On Ray itself two replicas are actors in processes of their own behind the same door; through Ray
Serve the whole is started as ``studiolo serve --on ray`` does. Both are skipped where they are not
installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import Message

from studiolo.errors import InvalidRequestError, MissingExtraError
from studiolo.server.affinity import ranked
from studiolo.server.forwarding import Ask, Forwarding
from studiolo.server.opening import Opening
from studiolo.server.replicas import Replica, Scaling, run_replicas
from tests.server.held import held
from tests.server.serving import MEMORY, SETTINGS

OPENING = Opening(SETTINGS, ("tiny",), MEMORY, device="cpu")
ASK = {"model": "tiny", "max_tokens": 24, "ignore_eos": True, "logprobs": 2}


@contextmanager
def behind_a_door(ask: Ask) -> Iterator[str]:
    """A server that forwards by ``ask``; its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(Forwarding(ask), log_level="critical", timeout_graceful_shutdown=5)
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


def test_leaving_cancels_in_the_replica(replicas: dict[str, Replica]) -> None:
    studio = replicas["a"]._studio

    async def main() -> None:
        scope = {
            "type": "http", "method": "POST", "path": "/v1/completions", "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "scheme": "http",
        }  # fmt: skip
        body = json.dumps({**ASK, "prompt": "x"}).encode()
        answer = replicas["a"].answer("", scope, body)
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
    with pytest.raises(MissingExtraError, match="--on ray"):
        run_replicas(OPENING, None, Scaling(1, 1), "127.0.0.1", 0, lambda _: None, lambda: None)


ray_leaves_things = [
    # Ray leaves sockets and log files to the interpreter's end.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
]


class TestOnRay:
    """Replicas in processes of their own."""

    pytestmark = ray_leaves_things

    @pytest.fixture
    def actors(self, tmp_path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Ray, and two actors by name."""
        ray = pytest.importorskip("ray")
        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
            object_store_memory=100_000_000,
        )  # fmt: skip
        kind = ray.remote(Replica).options(num_cpus=1, max_concurrency=64)
        made = {name: kind.remote(OPENING, str(tmp_path / "records.db")) for name in "ab"}
        ray.get([each.check_health.remote() for each in made.values()])
        yield ray, made
        ray.shutdown()

    def test_one_is_killed_under_load_and_no_answer_is_lost(
        self, actors: tuple[Any, dict[str, Any]]
    ) -> None:
        ray, alive = actors
        loads = dict.fromkeys(alive, 0)
        used: set[str] = set()

        async def ask(
            token: str, scope: dict[str, Any], body: bytes
        ) -> AsyncGenerator[list[Message], None]:
            name = ranked(token, {each: loads[each] for each in alive})[0]
            used.add(name)
            loads[name] += 1
            answer = alive[name].answer.options(num_returns="streaming")
            try:
                async for batch in answer.remote(token, scope, body):
                    yield await batch
            except ray.exceptions.RayActorError:
                alive.pop(name, None)
                raise
            finally:
                loads[name] -= 1

        with behind_a_door(ask) as url:
            expected = answers(url, range(12))
            assert used == {"a", "b"}
            with ThreadPoolExecutor(6) as pool:
                asked = [pool.submit(answers, url, range(12)) for _ in range(6)]
                while sum(loads.values()) < 4:
                    time.sleep(0.01)
                ray.kill(alive["a"])
                made = [each.result() for each in asked]
            assert made == [expected] * 6
            assert set(alive) == {"b"}


class TestOnRayServe:
    """The whole, as the command starts it."""

    pytestmark = ray_leaves_things

    def test_two_replicas_serve_and_one_is_killed(self, tmp_path: Path) -> None:
        pytest.importorskip("ray.serve", exc_type=ImportError)
        port = free_port()
        command: list[str | Path] = [
            *(Path(sys.executable).with_name("studiolo"), "serve", "--port", str(port)),
            *("--model", "tiny", "--device", "cpu"),
            *("--records", str(tmp_path / "records.db"), "--replicas", "2", "--on", "ray"),
        ]
        environment = {**os.environ, "STUDIOLO_TEST": str(tmp_path)}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as server:
            assert server.stdout is not None
            assert "ready" in server.stdout.readline()
            url = f"http://127.0.0.1:{port}"
            expected = answers(url, range(12))
            texts = [choices[0]["text"] for choices, _, _ in expected]
            assert answers(url, range(12), stream=True) == texts
            with ThreadPoolExecutor(6) as pool:
                asked = [pool.submit(answers, url, range(12)) for _ in range(6)]
                os.kill(a_replica_of(str(tmp_path)), signal.SIGKILL)
                made = [each.result() for each in asked]
            assert made == [expected] * 6
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=120) == 0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def a_replica_of(mark: str) -> int:
    """The process of a replica that has ``mark`` in its environment; Ray names what it serves."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, environment = ((process / each).read_bytes() for each in ("cmdline", "environ"))
        except OSError:
            continue
        if b"ServeReplica" in name and b":replica" in name and mark.encode() in environment:
            return int(process.name)
    raise AssertionError("no replica is there")
