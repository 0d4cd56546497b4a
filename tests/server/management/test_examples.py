"""The examples of docs/management.md and docs/remote.md, run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.server.prices import read_prices
from studiolo.task.remote.settings import read_remotes
from tests.server.examples import DOCS, run_examples
from tests.server.serving import Served, serving


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A server whose keys are the examples'."""
    with serving(tmp_path / "records.db") as running:
        yield running


def test_management(own: Served) -> None:
    names = run_examples("management.md", own)
    assert names["gone"] == {"object": "contents.deleted", "requests": 0, "ratings": 0}
    assert names["own"]["object"] == "list"
    assert callable(names["pull"])


def test_remote(own: Served) -> None:
    assert run_examples("remote.md", own)["answer"].usage.completion_tokens > 0


def blocks(page: str) -> list[str]:
    return [each.split("```")[0] for each in (DOCS / page).read_text().split("```toml\n")[1:]]


def test_files_are_as_the_pages_show_them(tmp_path: Path) -> None:
    (remotes,) = blocks("remote.md")
    (tmp_path / "remotes.toml").write_text(remotes)
    assert set(read_remotes(tmp_path / "remotes.toml")) == {"big", "near"}
    (prices,) = blocks("management.md")
    (tmp_path / "prices.toml").write_text(prices)
    assert read_prices(tmp_path / "prices.toml")["smollm2-135m-instruct"].completion == 0.08
