from __future__ import annotations

from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.cli.loading import STARTER, load_model


def test_the_starter_is_the_catalogues_default() -> None:
    assert STARTER == DEFAULT_MODEL


def test_a_model_by_path(tiny: str) -> None:
    assert load_model(tiny, "cpu").name == "tiny"
