from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

STUDIOLO = [sys.executable, "-c", "from studiolo.cli import main; main()"]


def requests(path: Path, count: int, max_tokens: int) -> None:
    body = {"prompt": "the cat", "max_tokens": max_tokens, "ignore_eos": True}
    lines = [
        {"custom_id": f"c{i}", "method": "POST", "url": "/v1/completions", "body": body}
        for i in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


def results(path: Path) -> dict[str, Any]:
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    named = {each["custom_id"]: each for each in found}
    assert len(named) == len(found)
    return named


def test_a_file_goes_in_and_a_file_comes_out(run: Run, tiny: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    requests(source, 5, 6)
    with source.open("a", encoding="utf-8") as file:
        file.write("\nrubbish\n")
    ended = run("batch", str(source), str(out), "-m", tiny)
    assert ended.code == 0
    assert ended.out == ""
    assert f"6 lines are answered in {out}, 1 of them with an error; " in ended.err
    assert "a second." in ended.err
    found = results(out)
    assert set(found) == {*(f"c{i}" for i in range(5)), None}
    assert found["c3"]["response"]["body"]["usage"]["completion_tokens"] == 6
    again = run("batch", str(source), str(out), "-m", tiny)
    assert again.code == 0
    assert "6 of 6 lines are answered already" in again.err
    assert results(out) == found


def test_what_is_wrong_is_said(run: Run, tiny: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    missing = run("batch", str(source), str(out))
    assert missing.code == 2
    assert "error: input: " in missing.err
    requests(source, 1, 2)
    assert run("batch", str(source), str(out), "-m", tiny).code == 0
    requests(source, 2, 2)
    changed = run("batch", str(source), str(out), "-m", tiny)
    assert changed.code == 2
    assert "it has changed, or is another file" in changed.err
    assert run("batch", str(source), str(out), "--workers", "2").code == 2
    assert run("batch", str(source), str(source)).code == 2
    unknown = run("batch", str(source), str(tmp_path / "new"), "-m", "smollm2-135m-instrct")
    assert unknown.code == 2
    assert "Did you mean" in unknown.err


def test_without_ray_the_error_says_what_to_install(
    run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.jsonl"
    requests(source, 1, 2)
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = run("batch", str(source), str(tmp_path / "out"), "-m", tiny, "--on", "ray")
    assert ended.code == 1
    assert "--on ray needs the extra 'ray'" in ended.err
    assert "pip install 'studiolo[ray]'" in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to others")
def test_ctrl_c_stops_and_says_how_to_go_on(tiny: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    requests(source, 4000, 100)
    command = [*STUDIOLO, "batch", str(source), str(out), "-m", tiny]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as working:
        patience = time.monotonic() + 120
        while not (out.exists() and out.stat().st_size) and time.monotonic() < patience:
            time.sleep(0.05)
        os.kill(working.pid, signal.SIGINT)
        _, said = working.communicate(timeout=60)
    assert working.returncode == 130
    done = len(results(out))
    assert 0 < done < 4000
    assert f"Stopped after {done:,} of 4,000 lines; the same command goes on" in said.decode()
    assert "Traceback" not in said.decode()
