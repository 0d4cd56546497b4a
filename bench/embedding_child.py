"""One contestant of ``embeddings.py`` in a process of its own; see :mod:`bench.child`.

Each line in is ``{"texts": FILE, "vectors": FILE or null}``; each line out says the seconds
from texts to vectors, tokenising included. The vectors are written only if they are asked for.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.child import serve

BATCH = 32
"""Texts in a batch of a contestant that has no rule of its own; sentence-transformers' default."""


class Embedder(Protocol):
    """A loaded encoder."""

    version: str

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1, ``[n, width]``, in order; what is too long is truncated."""
        ...


def answered(contestant: Embedder, request: Mapping[str, Any]) -> dict[str, object]:
    """Embed, timed; write the vectors if asked."""
    texts = json.loads(Path(request["texts"]).read_text(encoding="utf-8"))
    start = time.perf_counter()
    vectors = contestant.embed(texts)
    seconds = time.perf_counter() - start
    if request["vectors"]:
        np.save(request["vectors"], vectors)
    return {"seconds": seconds}


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), answered)
