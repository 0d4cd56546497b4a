"""The examples of the page run."""

from __future__ import annotations

import pytest

from tests.server.examples import run_examples
from tests.server.serving import Served


def test_the_examples_of_the_page_run(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_examples("anthropic.md", served)
    assert {block.type for block in names["message"].content} == {"tool_use"}
    assert isinstance(names["parsed"].parsed_output.wet, bool)
    assert names["counted"].input_tokens > 0
    assert "no model is called 'nobody'" in capsys.readouterr().out
