"""The examples of the page run."""

from __future__ import annotations

import pytest

from tests.server.examples import run_examples
from tests.server.serving import Served


def test_the_examples_of_the_page_run(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_examples("ollama.md", served)
    assert names["reply"].done_reason == "stop"
    assert len(names["made"].embeddings) == 2
    assert "no model is called 'nobody'" in capsys.readouterr().out
