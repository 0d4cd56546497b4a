from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import studiolo
from studiolo.retrieval.embedder import ModelEmbedder


def test_vectors_are_those_of_the_encoder(tiny_encoder: str) -> None:
    model = studiolo.load_encoder(tiny_encoder, device="cpu")
    embedder = ModelEmbedder(model)
    assert embedder.name == str(Path(tiny_encoder).absolute())
    assert embedder.digest == model.bundle.digest
    told: list[int] = []
    vectors = embedder.embed(["rain", "x" * 50], told.append)
    assert vectors.shape == (2, embedder.width)
    assert vectors.dtype == np.float32
    assert told[-1] == 2
    expected = model.embed(["rain", "x" * 50], truncate=True).numpy()
    assert vectors == pytest.approx(expected, abs=1e-6)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert embedder.embed([]).shape == (0, embedder.width)


def test_what_fits_is_read_whole(tiny_encoder: str) -> None:
    """The encoder has a token for each byte, and reads 24 of which two are its own."""
    embedder = ModelEmbedder(studiolo.load_encoder(tiny_encoder, device="cpu"))
    assert [embedder.fits("x" * n) for n in (1, 5, 20, 21, 23, 100)] == [True] * 4 + [False] * 2
    assert not embedder.fits("é" * 12)
