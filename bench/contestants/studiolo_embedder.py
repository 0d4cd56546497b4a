"""Studiolo through its public door, ``studiolo.load_encoder`` and ``EmbeddingModel.embed``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

import studiolo


class StudioloEmbedder:
    """See :class:`bench.embedding_child.Embedder`."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = studiolo.__version__
        self._model = studiolo.load_encoder(model, device="cpu")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sorted by length and put back in order by itself."""
        vectors: NDArray[np.float32] = self._model.embed(texts, truncate=True).numpy()
        return vectors


CONTESTANT = StudioloEmbedder
