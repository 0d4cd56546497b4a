"""The tiny model, loaded."""

from __future__ import annotations

import pytest

import studiolo


@pytest.fixture(scope="session")
def lm(tiny: str) -> studiolo.LanguageModel:
    return studiolo.load(tiny, device="cpu")
