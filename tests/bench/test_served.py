from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.process import ContestantError
from bench.served import Served, llama_cpp, studiolo

SERVER = """
import socket, sys, time
print("a library says hello", flush=True)
print("ready at http://127.0.0.1:12345", flush=True)
time.sleep(600)
"""


def test_a_server_says_where_it_is_and_is_ended() -> None:
    with Served([sys.executable, "-c", SERVER], threads=1) as served:
        assert served.address == ("127.0.0.1", 12345)
        states = [served.alive]
        if Path("/proc/self/status").exists():
            assert served.resident() > 1e6
        assert served.stop() == -15
        states.append(served.alive)
        assert served.resident() == 0
    assert states == [True, False]


def test_one_that_does_not_start_is_named_with_its_last_words() -> None:
    broken = "import sys; sys.exit('this model is broken')"
    with pytest.raises(ContestantError, match="this model is broken"):
        Served([sys.executable, "-c", broken], threads=1)


def test_the_commands(tmp_path: Path) -> None:
    assert studiolo("tiny", tmp_path / "r.db")[-2:] == ["--model", "tiny"]
    assert llama_cpp("a.gguf", 2, 16, 512)[-4:] == ["a.gguf", "2", "16", "512"]
