from __future__ import annotations

from studiolo.bundle.catalogue import DEFAULT_ENCODER, DEFAULT_MODEL
from studiolo.cli.loading import ENCODER, STARTER, load_encoder, load_model


def test_the_defaults_are_the_catalogues() -> None:
    assert STARTER == DEFAULT_MODEL
    assert ENCODER == DEFAULT_ENCODER


def test_a_model_by_path(tiny: str, tiny_encoder: str) -> None:
    assert load_model(tiny, "cpu").name == "tiny"
    assert load_encoder(tiny_encoder, "cpu").name == "tiny-encoder"
