"""The examples of the page run."""

from __future__ import annotations

import pytest

from tests.server.examples import run_examples
from tests.server.serving import Served


def test_the_examples_of_the_page_run(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_examples("bedrock.md", served)
    assert names["counted"]["inputTokens"] > 0
    told = capsys.readouterr().out
    assert "no model is called 'nobody'" in told
    assert "arn:aws:bedrock:local::foundation-model/tiny" in told
