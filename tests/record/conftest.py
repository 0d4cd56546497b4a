"""Both kinds of database, and one that is open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from studiolo.record.database import Database
from tests.databases import fresh, postgres, url

__all__ = ["database", "fresh", "postgres", "url"]


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """An open, empty database, of both kinds."""
    opened = Database.open(url)
    yield opened
    opened.close()
