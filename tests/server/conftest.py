"""A home with two tiny models, and a server of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.bundle.pull import pull
from tests.server.serving import Served, roomy, serving


@pytest.fixture(scope="session")
def tiny_home(tiny: str, tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """STUDIOLO_HOME with ``tiny`` and ``tiny-encoder`` installed."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIOLO_HOME", str(path))
        pull(f"{roomy(tiny, path)}/", name="tiny")
        pull(f"{tiny_encoder}/", name="tiny-encoder")
    return path


@pytest.fixture(scope="package", autouse=True)
def _in_tiny_home(tiny_home: Path) -> Iterator[None]:
    """For all tests of the package, and their fixtures; others have the home they had."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIOLO_HOME", str(tiny_home))
        yield


@pytest.fixture(scope="package")
def served(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without keys, which all tests of the package share."""
    with serving(tmp_path_factory.mktemp("records") / "records.db") as running:
        yield running
