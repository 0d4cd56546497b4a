"""``studiolo serve`` as it is used: a process that is started, asked, and told to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from studiolo.bundle.pull import pull
from studiolo.cli.serve import bound, is_loopback, shown
from studiolo.errors import StudioloError
from studiolo.record.records import Records
from tests.cli.conftest import Run
from tests.server.serving import roomy

LONG = {"prompt": "a", "max_tokens": 4000, "seed": 1, "ignore_eos": True, "stream": True}


@pytest.fixture(scope="module")
def tiny_home(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIOLO_HOME", str(path))
        pull(f"{roomy(tiny, path)}/", name="tiny")
        yield path


@contextmanager
def running(home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``studiolo serve`` with these options, and the address that it says."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from studiolo.cli import main; main()", "serve"),
            *("--port", "0", "--model", "tiny", *options),
        ],
        env={**os.environ, "STUDIOLO_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("Studiolo is ready at http://"), process.communicate()[1]
        yield process, said.split()[-1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_a_stream_and_ends_well(
    tiny_home: Path, tmp_path: Path, told: signal.Signals
) -> None:
    records = tmp_path / "records.db"
    with running(tiny_home, "--records", str(records)) as (process, url):
        assert httpx.get(f"{url}/ready").status_code == 200
        with httpx.stream("POST", f"{url}/v1/completions", json=LONG, timeout=120) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("data: ")
            process.send_signal(told)
            last = [line for line in lines if line][-1]
        out, err = process.communicate(timeout=60)
        assert last == "data: [DONE]"
        assert (process.returncode, out) == (0, "")
        assert err.splitlines()[-1] == "Stopped."
        assert "Traceback" not in err
    kept = Records.open(str(records))
    newest = kept.ledger.requests(None, admin=True)[0]
    kept.close()
    assert (newest.endpoint, newest.status) == ("POST /v1/completions", 200)
    assert newest.completion_tokens == 4000


def test_the_port_is_the_one_it_says(tiny_home: Path, tmp_path: Path) -> None:
    with running(tiny_home, "--records", str(tmp_path / "r.db")) as (process, url):
        port = int(url.rsplit(":", 1)[1])
        assert port > 0
        names = [each["id"] for each in httpx.get(f"{url}/v1/models").json()["data"]]
        assert names == ["tiny"]
        made = httpx.post(f"{url}/v1/completions", json={"prompt": "a", "max_tokens": 2})
        assert made.json()["model"] == "tiny"
        process.terminate()
        assert process.wait(60) == 0


def test_receipts_are_kept_if_it_is_told_to(tiny_home: Path, tmp_path: Path) -> None:
    asked = {"prompt": "a", "max_tokens": 4, "seed": 1}
    for options, status in ((("--keep", "receipts"), 200), ((), 404)):
        where = ("--records", str(tmp_path / f"{status}.db"))
        with running(tiny_home, *where, *options) as (_, url):
            made = httpx.post(f"{url}/v1/completions", json=asked, timeout=60)
            kept = httpx.get(f"{url}/v1/receipts/{made.headers['x-request-id']}")
            assert kept.status_code == status


def test_keys_and_values_are_kept_as_asked(tiny_home: Path, tmp_path: Path) -> None:
    where = ("--records", str(tmp_path / "records.db"))
    asked = {"prompt": "a", "max_tokens": 4, "receipt": True}
    with running(tiny_home, *where, "--kv-cache", "bfloat16", "--device", "cpu") as (_, url):
        made = httpx.post(f"{url}/v1/completions", json=asked, timeout=60).json()
    assert made["receipt"]["engine"]["arithmetic"].endswith(" bfloat16 cache")


def has_ipv6() -> bool:
    try:
        bound("::1", 0).close()
    except StudioloError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_the_sixth_version(tiny_home: Path, tmp_path: Path) -> None:
    options = ("--host", "::1", "--records", str(tmp_path / "r.db"))
    with running(tiny_home, *options) as (_, url):
        assert url.startswith("http://[::1]:")
        assert httpx.get(f"{url}/v1/models").status_code == 200


def test_with_keys_it_may_be_reached_from_elsewhere(tiny_home: Path, tmp_path: Path) -> None:
    kept = Records.open(str(tmp_path / "r.db"))
    key = kept.keys.create(name="n")
    kept.close()
    options = ("--host", "0.0.0.0", "--records", str(tmp_path / "r.db"))
    with running(tiny_home, *options) as (_, url):
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/v1/models").status_code == 401
        allowed = httpx.get(f"{url}/v1/models", headers={"x-api-key": key.secret})
        assert allowed.status_code == 200


def test_without_keys_it_may_not(run: Run, home: Path) -> None:
    for host in ("0.0.0.0", "::") if has_ipv6() else ("0.0.0.0",):
        ended = run("serve", "--host", host, "--port", "0")
        assert ended.code == 2
        assert f"host: {host} can be reached from other machines" in ended.err
        assert "studiolo keys create" in ended.err
        assert ended.out == ""


def test_a_port_that_is_taken_is_told_before_anything_is_fetched(run: Run, home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run("serve", "--port", str(port))
    assert ended.code == 1
    assert f"cannot listen at 127.0.0.1:{port}: Address already in use" in ended.err
    assert "port 0 takes a free one" in ended.err
    assert list(home.iterdir()) == []


def test_what_cannot_be_listened_at(run: Run, home: Path) -> None:
    ended = run("serve", "--host", "192.0.2.1", "--port", "0")
    assert ended.code == 1
    assert "cannot listen at 192.0.2.1:0" in ended.err


def test_a_model_that_is_not_there_is_told(run: Run, home: Path) -> None:
    ended = run("serve", "--port", "0", "--model", "nobody")
    assert ended.code == 2
    assert "no model is called 'nobody'" in ended.err


def test_so_is_an_encoders_place(run: Run, tiny_home: Path, tmp_path: Path) -> None:
    records = ("--records", str(tmp_path / "r.db"))
    ended = run("serve", "--port", "0", "-m", "tiny", *records, "--encoder", "./nobody")
    assert (ended.code, ended.out) == (1, "")
    assert "there is nothing at" in ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--replicas", "0", "--on", "ray"), "Invalid value for '--replicas'"),
        (("--replicas", "2"), "replicas: need --on ray"),
        (("--max-replicas", "2"), "replicas: need --on ray"),
        (("--on", "nonsense"), "on: must be ray, not 'nonsense'"),
        (("--on", "ray", "--replicas", "3", "--max-replicas", "2"), "2 at most, not 3"),
    ],
)
def test_replicas_that_cannot_be(
    run: Run, tiny_home: Path, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    records = str(tmp_path / "records.db")
    ended = run("serve", "--port", "0", "-m", "tiny", "--records", records, *options)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


def test_replicas_without_ray_say_what_to_install(
    run: Run, tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    records = ("--records", str(tmp_path / "records.db"))
    ended = run("serve", "--port", "0", "-m", "tiny", *records, "--on", "ray", "--replicas", "2")
    assert (ended.code, ended.out) == (1, "")
    assert "--on ray needs the extra 'ray'" in ended.err
    assert "pip install 'studiolo[ray]'" in ended.err


def test_who_can_reach_a_socket() -> None:
    with bound("127.0.0.1", 0) as own, bound("0.0.0.0", 0) as everybodys:
        assert is_loopback(own)
        assert not is_loopback(everybodys)
        with pytest.raises(StudioloError, match="Address already in use"):
            bound("127.0.0.1", own.getsockname()[1])
    assert shown("::1") == "[::1]"
    assert shown("localhost") == "localhost"
