"""Memory and engine over HTTP."""

from __future__ import annotations

from pathlib import Path

from tests.server.held import held
from tests.server.serving import MEMORY, serving


def test_memory_and_engine(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db", house={"prefix_memory": 1 << 20}) as running:
        http = running.http()
        empty = http.get("/studiolo/v1/memory").json()
        assert empty["models"] == {"limit": MEMORY, "used": 0, "loaded": []}
        assert empty["requests"] == {"limit": MEMORY, "used": 0}
        with held(running.studio.house, waiting=1):
            memory = http.get("/studiolo/v1/memory").json()
            (loaded,) = memory["models"]["loaded"]
            assert (loaded["name"], loaded["bytes"]) == ("tiny", memory["models"]["used"])
            assert 0 < memory["requests"]["used"] < MEMORY
            (prefixes,) = memory["prefixes"]
            assert (prefixes["model"], prefixes["limit"]) == ("tiny", 1 << 20)
            engine = http.get("/studiolo/v1/engine").json()
            assert engine["running"] is True
            assert engine["requests"] == 1, "this very request"
            (tiny,) = engine["models"]
            assert (tiny["name"], tiny["live"], tiny["waiting"]) == ("tiny", 1, 1)
