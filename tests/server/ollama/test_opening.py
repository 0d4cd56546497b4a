"""Models opened and closed as a client's keep_alive says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ollama
import pytest

from tests.server.serving import Served, serving

PATIENCE = 30.0
"""Seconds after which a model that should have been closed is still open."""


def closed(served: Served) -> bool:
    """Whether nothing is open, in the end: a model is closed after its answer was sent."""
    end = time.monotonic() + PATIENCE
    while served.studio.house.engine.models.loaded:
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("chat", [False, True])
def test_a_request_for_nothing_opens_and_closes(tmp_path: Path, chat: bool) -> None:
    with serving(tmp_path / "records.db") as served, ollama.Client(host=served.url) as client:
        ask: Any = client.chat if chat else client.generate
        assert ask("tiny").done_reason == "load"
        assert list(served.studio.house.engine.models.loaded) == ["tiny"]
        assert [part.done_reason for part in ask("tiny", keep_alive=0, stream=True)] == ["unload"]
        assert closed(served)
        with pytest.raises(ollama.ResponseError, match="no model is called"):
            ask("nobody")


@pytest.mark.parametrize("keep_alive", [0, "0", "0s"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_is_closed_after_its_answer(
    tmp_path: Path, keep_alive: float | str, stream: bool
) -> None:
    with serving(tmp_path / "records.db") as served, ollama.Client(host=served.url) as client:
        options = {"num_predict": 3}
        made: Any = client.generate(
            "tiny", "the cat", options=options, keep_alive=keep_alive, stream=stream
        )
        if stream:
            assert list(made)[-1].done
        else:
            assert made.done
        assert closed(served)


@pytest.mark.parametrize("keep_alive", ["5m", -1, 10, "-1s", None])
def test_else_it_stays(tmp_path: Path, keep_alive: Any) -> None:
    with serving(tmp_path / "records.db") as served, ollama.Client(host=served.url) as client:
        client.generate("tiny", "the cat", options={"num_predict": 3}, keep_alive=keep_alive)
        assert list(served.studio.house.engine.models.loaded) == ["tiny"]


def test_what_is_no_duration_is_refused(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="keep_alive: 'soon' is no duration"):
        client.generate("tiny", "x", keep_alive="soon")


def test_everybodys_model_is_not_closed_by_anybody(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as served:
        keys = served.studio.records.keys
        asker = keys.create(name="asker", scopes=("inference",)).secret
        headers = {"authorization": f"Bearer {asker}"}
        with ollama.Client(host=served.url, headers=headers) as client:
            client.generate("tiny", keep_alive="5m")
            with pytest.raises(ollama.ResponseError, match="models:write") as refused:
                client.generate("tiny", keep_alive=0)
            assert refused.value.status_code == 403
        assert list(served.studio.house.engine.models.loaded) == ["tiny"]
