"""Ollama's own client, and the model that it asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ollama
import pytest

import studiolo
from tests.server.serving import Served


@pytest.fixture
def client(served: Served) -> Iterator[ollama.Client]:
    with ollama.Client(host=served.url) as made:
        yield made


@pytest.fixture(scope="session")
def lm(tiny_home: Path) -> studiolo.LanguageModel:
    """The model that the server calls ``tiny``, in this process."""
    return studiolo.load(str(tiny_home / "models" / "tiny"), device="cpu")
