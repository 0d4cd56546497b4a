"""OpenAI's own client, of the shared server and of one that keeps what is asked and answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from studiolo.record.contents import Policy
from tests.server.serving import Served, serving


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="package")
def keeper(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that keeps contents and receipts, with a key ``one`` and a key ``two``."""
    path = tmp_path_factory.mktemp("keeper") / "records.db"
    with serving(path, policy=Policy(contents=True, receipts=True)) as running:
        yield running


@pytest.fixture(scope="package")
def clients(keeper: Served) -> Iterator[tuple[openai.OpenAI, openai.OpenAI]]:
    """The clients of two keys."""
    made = []
    for name in ("one", "two"):
        key = keeper.studio.records.keys.create(name=name, scopes=("inference", "batch"))
        made.append(openai.OpenAI(base_url=f"{keeper.url}/v1", api_key=key.secret, max_retries=0))
    yield made[0], made[1]
    for each in made:
        each.close()


@pytest.fixture
def one(clients: tuple[openai.OpenAI, openai.OpenAI]) -> openai.OpenAI:
    return clients[0]


@pytest.fixture
def two(clients: tuple[openai.OpenAI, openai.OpenAI]) -> openai.OpenAI:
    return clients[1]
