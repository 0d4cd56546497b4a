from __future__ import annotations

import json

import pytest

from studiolo.cli.output import for_terminal, print_json, size


def test_json_is_one_document_of_readable_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": "naïve 🐈", "n": 1})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": "naïve 🐈", "n": 1}
    assert "🐈" in out


def test_not_a_number_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_json(float("nan"))


def test_a_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    sly = "\x1b]0;title\x07 line\n\tend\x9b2J"
    assert for_terminal(sly) == sly, "a pipe gets the text as it is"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert for_terminal(sly) == "\\x1b]0;title\\x07 line\n\tend\\x9b2J"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (98_362_432, "98.4 MB"), (999_600_000, "1 GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
