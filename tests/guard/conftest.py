"""The model of names, for tests that need it."""

from __future__ import annotations

import pytest

from studiolo.errors import SourceError
from studiolo.guard.finder import Finder
from studiolo.guard.masking import Masker
from studiolo.guard.names import NAMES_MODEL, Names
from tests.conftest import _at_home


@pytest.fixture(scope="session")
def names() -> Names:
    """The catalogue's model of names; skips where it cannot be fetched."""
    try:
        return Names.load(_at_home(NAMES_MODEL))
    except SourceError as error:
        pytest.skip(f"the model of names cannot be fetched: {error.message}")


@pytest.fixture(scope="session")
def finder(names: Names) -> Finder:
    """A finder of every kind."""
    return Finder(names=names)


@pytest.fixture(scope="session")
def masker(finder: Finder) -> Masker:
    """A masker of every kind."""
    return Masker(finder)
