"""The examples of the page run."""

from __future__ import annotations

from pathlib import Path

import pytest

from studiolo.task.replay import replay
from tests.server.examples import run_examples
from tests.server.serving import Served


def test_the_examples_of_the_page_run(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_examples("openai.md", served)
    assert names["completion"].choices[0].message.content
    assert names["parsed"].choices[0].message.parsed.sky in ("clear", "cloudy", "rain")
    assert names["call"].function.name == "Look"
    assert names["response"].status in ("completed", "incomplete")
    assert names["batch"].status == "completed"
    assert names["result"]["custom_id"] == "question-1"
    assert names["rated"].json()["rating"] == 1
    assert replay("receipt.json").agrees
