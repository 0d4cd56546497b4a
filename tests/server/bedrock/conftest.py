"""AWS's clients for a server without keys, and the model that they ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import studiolo
from tests.server.bedrock.asking import aws
from tests.server.serving import Served


@pytest.fixture(scope="package")
def runtime(served: Served) -> Iterator[Any]:
    with aws("bedrock-runtime", served.url) as client:
        yield client


@pytest.fixture(scope="package")
def control(served: Served) -> Iterator[Any]:
    with aws("bedrock", served.url) as client:
        yield client


@pytest.fixture(scope="session")
def lm(tiny_home: Path) -> studiolo.LanguageModel:
    """The model that the server calls ``tiny``, in this process."""
    return studiolo.load(str(tiny_home / "models" / "tiny"), device="cpu")
