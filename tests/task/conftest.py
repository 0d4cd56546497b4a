"""The tiny model, loaded, and houses in which it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import studiolo
from studiolo.bundle.pull import pull
from studiolo.task.house import House
from tests.task.houses import opened


@pytest.fixture(scope="session")
def lm(tiny: str) -> studiolo.LanguageModel:
    return studiolo.load(tiny, device="cpu")


@pytest.fixture(scope="module")
def models(
    tiny: str, tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """STUDIOLO_HOME with ``a``, ``b`` (the same) and ``vectors`` installed."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIOLO_HOME", str(path))
        for name, source in (("a", tiny), ("b", tiny), ("vectors", tiny_encoder)):
            pull(f"{source}/", name=name)
        yield path


@pytest.fixture
def at_home(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In that home."""
    monkeypatch.setenv("STUDIOLO_HOME", str(models))


@pytest.fixture
def house(at_home: None) -> Iterator[House]:
    with opened() as made:
        yield made


@pytest.fixture
def narrow(models: Path, at_home: None) -> Iterator[House]:
    """A house in which either ``a`` or ``b`` has room."""
    size = sum(path.stat().st_size for path in (models / "models" / "a").iterdir())
    with opened(model_memory=size * 3 // 2) as made:
        yield made
