from __future__ import annotations

import json
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest

from studiolo.record.records import Records
from studiolo.server.running import Server
from studiolo.server.settings import Settings
from studiolo.server.studio import Studio
from studiolo.task.house import House
from tests.server.serving import eventually, serving

ASK = {"prompt": "a", "max_tokens": 50, "seed": 1, "ignore_eos": True}


def test_it_says_when_it_is_ready_and_where(tmp_path: Path) -> None:
    house = House(device="cpu", model_memory=1, request_memory=1)
    records = Records.open(str(tmp_path / "records.db"))
    studio = Studio.of(Settings(model="tiny", encoder="tiny"), house, records)
    ports: list[int] = []
    server = Server(studio, ports.append)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        eventually(lambda: bool(ports))
        assert ports == [listening.getsockname()[1]]
        answer = httpx.get(f"http://127.0.0.1:{ports[0]}/ready")
        assert answer.status_code == 200
        assert "server" not in answer.headers
        server.should_exit = True
        thread.join()
    studio.close()


def test_told_to_stop_it_finishes_what_is_under_way(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as served, served.braked() as steps:
        http, lines = served.http(), []
        with http.stream("POST", "/v1/completions", json={**ASK, "stream": True}) as answer:
            eventually(lambda: served.jobs == 1)
            served.server.should_exit = True
            eventually(lambda: refused(served.url))
            steps.release(100)
            lines = list(answer.iter_lines())
        assert lines[-2] == "data: [DONE]"
        assert served.entry(answer.headers["x-request-id"]).completion_tokens == 50


def test_what_takes_too_long_is_ended_and_told_so(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "records.db", drain=0.2) as served, served.braked() as steps:
        wholes: list[httpx.Response] = []
        http = served.http()
        asking = threading.Thread(
            target=lambda: wholes.append(http.post("/v1/completions", json=ASK))
        )
        asking.start()
        with http.stream("POST", "/v1/completions", json={**ASK, "stream": True}) as answer:
            eventually(lambda: served.jobs == 2)
            steps.release(3)
            served.server.should_exit = True
            eventually(lambda: served.studio.house.engine._closed)  # which waits for its step
            steps.release(1)
            lines = [line for line in answer.iter_lines() if line]
        asking.join()
        (whole,) = wholes
        told = json.loads(lines[-1].removeprefix("data: "))["error"]
        assert told["code"] == whole.json()["error"]["code"] == "RequestCancelledError"
        assert whole.status_code == 503
        entry = served.entry(answer.headers["x-request-id"])
        assert (entry.status, entry.error) == (200, "RequestCancelledError")
        assert served.entry(whole.headers["x-request-id"]).status == 503


def refused(url: str) -> bool:
    try:
        httpx.get(f"{url}/live")
    except httpx.ConnectError:
        return True
    return False


def test_a_signal_asks_it_to_stop_and_is_not_raised_again(tmp_path: Path) -> None:
    house = House(device="cpu", model_memory=1, request_memory=1)
    studio = Studio.of(
        Settings(model="a", encoder="b"), house, Records.open(str(tmp_path / "records.db"))
    )
    server, before = Server(studio), signal.getsignal(signal.SIGTERM)
    with server.capture_signals():
        signal.raise_signal(signal.SIGTERM)
        assert server.should_exit
        signal.raise_signal(signal.SIGINT)
        assert server.force_exit
    assert signal.getsignal(signal.SIGTERM) is before
    studio.close()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_another_thread_leaves_signals_alone(tmp_path: Path, name: str) -> None:
    house = House(device="cpu", model_memory=1, request_memory=1)
    studio = Studio.of(
        Settings(model="a", encoder="b"), house, Records.open(str(tmp_path / "records.db"))
    )
    handlers = []

    def inside() -> None:
        with Server(studio).capture_signals():
            handlers.append(signal.getsignal(getattr(signal, name)))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(getattr(signal, name))]
    studio.close()
