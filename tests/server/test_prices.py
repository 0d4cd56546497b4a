"""prices.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from studiolo.errors import MalformedFileError
from studiolo.server.prices import prices_of, read_prices
from studiolo.server.settings import Price
from studiolo.task.remote.settings import Remote


def test_prices_are_read_and_the_operator_s_count(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[models.tiny]\nprompt = 0.1\ncompletion = 2\n[models."a.b"]\nprompt = 1\n')
    own = read_prices(file)
    assert own == {"tiny": Price(0.1, 2.0), "a.b": Price(1.0, 0.0)}
    remote = {"dialect": "openai", "url": "http://x/v1", "model": "m"}
    remotes = {
        "tiny": Remote.model_validate({**remote, "prices": {"prompt": 9}}),
        "far": Remote.model_validate({**remote, "prices": {"prompt": 3, "completion": 4}}),
        "free": Remote.model_validate(remote),
    }
    assert prices_of(own, remotes) == {**own, "far": Price(3.0, 4.0)}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("prompt = -1", "models.tiny.prompt"),
        ("prompt = inf", "models.tiny.prompt"),
        ("prompt = '1'", "models.tiny.prompt"),
        ("cached = 1", "models.tiny.cached"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(f"[models.tiny]\n{line}\n")
    with pytest.raises(MalformedFileError, match=reason):
        read_prices(file)
