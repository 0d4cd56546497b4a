"""sentence-transformers in float32, in its defaults: batches of 32, sorted by length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sentence_transformers
import torch
from numpy.typing import NDArray


class SentenceTransformersEmbedder:
    """See :class:`bench.embedding_child.Embedder`."""

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = str(sentence_transformers.__version__)
        self._model: Any = sentence_transformers.SentenceTransformer(model, device="cpu")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sorted by length and put back in order by the library."""
        vectors: NDArray[np.float32] = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return vectors


CONTESTANT = SentenceTransformersEmbedder
