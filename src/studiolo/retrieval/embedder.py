"""What makes vectors, as an index needs it: a name, a digest, a width, and texts to vectors.

An encoder of :func:`studiolo.load_encoder` is wrapped by :class:`ModelEmbedder`; anything else that
has these names will do. An index keeps the digest, since vectors of two models cannot be compared.
Does not know the floor above, where encoders are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Texts to vectors of length 1."""

    @property
    def name(self) -> str:
        """By which it is loaded again."""

    @property
    def digest(self) -> str:
        """Of the weights: the same digest, the same vectors."""

    @property
    def width(self) -> int:
        """Numbers in a vector."""

    def fits(self, text: str) -> bool:
        """Whether the whole of a text is read."""

    def embed(
        self, texts: Sequence[str], report: Callable[[int], None] = lambda done: None
    ) -> Vectors:
        """Float32 ``[n, width]``; ``report`` is told how many are done."""


class Encoder(Protocol):
    """What is used of :class:`studiolo.EmbeddingModel`."""

    @property
    def name(self) -> str:
        """The bundle's."""

    @property
    def width(self) -> int:
        """Numbers in a vector."""

    @property
    def max_tokens(self) -> int:
        """Of the longest text."""

    @property
    def bundle(self) -> Any:
        """Where the model lies: a :class:`~studiolo.bundle.store.Bundle`."""

    def encode(self, texts: Any, *, truncate: bool = ...) -> Sequence[Sequence[int]]:
        """Token ids."""

    def embed(
        self, texts: Any, *, truncate: bool = ..., report: Callable[[int], None] = ...
    ) -> Any:
        """A tensor."""


class ModelEmbedder:
    """An :class:`Embedder` of a loaded encoder. Its vectors are brought to length 1."""

    def __init__(self, model: Encoder) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """The bundle's name, or its path where it has no name on this machine."""
        bundle = self._model.bundle
        return self._model.name if bundle.installed is not None else str(bundle.path.absolute())

    @property
    def digest(self) -> str:
        """The bundle's digest."""
        return str(self._model.bundle.digest)

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return self._model.width

    def fits(self, text: str) -> bool:
        """Whether the text has no more tokens than the model reads."""
        limit = self._model.max_tokens
        # No vocabulary here has more tokens for a text than bytes of UTF-8.
        if 4 * len(text) + 2 <= limit:
            return True
        return len(self._model.encode([text], truncate=True)[0]) < limit

    def embed(
        self, texts: Sequence[str], report: Callable[[int], None] = lambda done: None
    ) -> Vectors:
        """The vector of each text; of one that is too long, of its beginning."""
        if not texts:
            return np.empty((0, self.width), np.float32)
        made = self._model.embed(list(texts), truncate=True, report=report)
        vectors = np.asarray(made.numpy(), np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
