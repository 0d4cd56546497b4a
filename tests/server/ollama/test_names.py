"""Names with Ollama's tag, and durations as Go writes them."""

from __future__ import annotations

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.server.ollama.names import plain, seconds, tagged


def test_a_tag_is_nothing() -> None:
    assert plain("tiny:latest") == plain("tiny") == "tiny"
    assert plain(tagged("tiny")) == "tiny"
    assert plain("hf:owner/name") == "owner--name"
    assert plain("tiny:7b") == "tiny:7b"  # which no model here is called
    with pytest.raises(InvalidRequestError):
        plain("hf:../../etc")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0, 0.0),
        (-1, -1.0),
        (3600, 3600.0),
        ("0", 0.0),
        ("0s", 0.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        ("-1m", -60.0),
        ("300ms", 0.3),
        ("2us", 2e-6),
    ],
)
def test_durations(given: float | str, expected: float) -> None:
    assert seconds(given) == pytest.approx(expected)


@pytest.mark.parametrize("given", ["", "5", "m", "5 m", "five", "5m!", "--5m"])
def test_what_is_no_duration_is_refused(given: str) -> None:
    with pytest.raises(InvalidRequestError, match="keep_alive"):
        seconds(given)
