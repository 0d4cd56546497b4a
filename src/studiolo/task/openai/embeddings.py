"""``/v1/embeddings``: texts in, vectors out. Source: OpenAI API reference, "Embeddings"."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from studiolo.errors import InvalidRequestError
from studiolo.task.openai.fields import Body, Many, Name

MAX_TEXTS = 2048
"""Of one request, as at OpenAI."""


class EmbeddingBody(Body):
    """The body of a request; ``truncate``, our own, keeps the beginning of what is too long."""

    model: Name | None = None
    input: str | Many[int] | Many[str | Many[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)
    truncate: bool | None = None
    user: str | None = None


def texts(body: EmbeddingBody) -> list[str | list[int]]:
    """The texts, or the token ids of each. Raises :class:`InvalidRequestError`."""
    given = body.input
    found: list[Any] = [given] if isinstance(given, str) or _ids(given) else list(given)
    if not found:
        raise InvalidRequestError("input", "is empty", remedy="Give at least one text.")
    if len(found) > MAX_TEXTS:
        raise InvalidRequestError(
            "input", f"holds {len(found):,} texts, and {MAX_TEXTS:,} are possible at once"
        )
    return found


def names(body: EmbeddingBody) -> dict[str, str]:
    """What ``body`` calls the texts that errors below name by their place."""
    count = len(texts(body))
    single = isinstance(body.input, str) or _ids(body.input)
    return {f"texts[{i}]": "input" if single else f"input.{i}" for i in range(count)}


def whole(
    body: EmbeddingBody, vectors: Sequence[Tensor], tokens: int, model: str
) -> dict[str, Any]:
    """The body of an answer; ``vectors``: float32 ``[width]`` each."""
    if body.dimensions is not None and any(body.dimensions != len(each) for each in vectors):
        raise InvalidRequestError(
            "dimensions",
            f"must be {len(vectors[0])}, the width of {model}'s vectors, not {body.dimensions}",
            remedy="Leave it out.",
        )
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": _written(vector, body.encoding_format)}
            for i, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _written(vector: Tensor, encoding: str | None) -> object:
    if encoding == "base64":
        return base64.b64encode(vector.numpy().astype(np.dtype("<f4")).tobytes()).decode()
    return [float(f"{x:.9g}") for x in vector.tolist()]  # enough for any float32


def _ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)
