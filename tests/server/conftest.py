"""A home with two tiny models, and a server of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.bundle.pull import pull
from tests.server.serving import Served, serving


@pytest.fixture(scope="session")
def tiny_home(
    tiny: str, tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """STUDIOLO_HOME with ``tiny`` and ``tiny-encoder`` installed."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIOLO_HOME", str(path))
        pull(f"{_roomy(tiny, path)}/", name="tiny")
        pull(f"{tiny_encoder}/", name="tiny-encoder")
        yield path


def _roomy(tiny: str, path: Path) -> Path:
    """The tiny model with a context that holds offered tools."""
    roomy = shutil.copytree(tiny, path / "roomy")
    config = json.loads((roomy / "config.json").read_text())
    (roomy / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    return roomy


@pytest.fixture(scope="package")
def served(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without keys, which all tests of the package share."""
    with serving(tmp_path_factory.mktemp("records") / "records.db") as running:
        yield running


@pytest.fixture(autouse=True)
def _in_tiny_home(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLO_HOME", str(tiny_home))
