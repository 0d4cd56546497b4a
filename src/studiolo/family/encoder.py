r"""Encoders: a text is read whole, from both sides, and becomes one vector.

.. math:: v = \mathrm{pool}(h_1 \dots h_n) / \lVert \mathrm{pool}(h_1 \dots h_n) \rVert

One step of :meth:`TextEncoder.advance` is all of it. Requests of one step are read sorted by
length, some thousand tokens at a time, and pooled one by one, so that a vector depends on its
own tokens alone (in floats up to rounding). Knows token ids; does not know text, nor who
computes the hidden states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from studiolo.errors import ContextOverflowError, InvalidRequestError, MalformedFileError
from studiolo.nn.config import EncoderConfig

BATCH_TOKENS = 2048
"""Tokens that the network is given at once; a single longer input is read alone."""


class Reader(Protocol):
    """What the family asks of its network."""

    @property
    def config(self) -> EncoderConfig:
        """The description of the network."""

    def read(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        """Float32 hidden states ``[length, width]`` of each sequence, none of them empty."""


@dataclass(frozen=True)
class EncodeRequest:
    """The token ids of one text, its start and end tokens included."""

    tokens: tuple[int, ...]


class EncodeProgress:
    """One text on its way; its only step takes it to the end."""

    def __init__(self, request: EncodeRequest) -> None:
        self.request = request
        self.vector: Tensor | None = None

    @property
    def done(self) -> bool:
        """Whether the vector is there."""
        return self.vector is not None

    @property
    def least(self) -> int:
        """All its tokens: each sees every other, so a text cannot be read in parts."""
        return len(self.request.tokens)

    @property
    def demand(self) -> int:
        """All its tokens."""
        return len(self.request.tokens)

    def preview(self) -> Tensor | None:
        """The vector, once it is there."""
        return self.vector


class TextEncoder:
    """The family's contract over a network that reads."""

    def __init__(self, network: Reader) -> None:
        self.network = network

    @property
    def config(self) -> EncoderConfig:
        """The description of the network."""
        return self.network.config

    def weigh(self, request: EncodeRequest) -> int:
        """Bytes of the vector, all that is kept.

        Raises :class:`InvalidRequestError` for no tokens or an id outside the vocabulary, and
        :class:`ContextOverflowError` for more tokens than the model reads.
        """
        config, tokens = self.config, request.tokens
        if not tokens:
            raise InvalidRequestError("tokens", "are none", remedy="Give at least one token.")
        bad = next((t for t in tokens if not 0 <= t < config.vocabulary), None)
        if bad is not None:
            raise InvalidRequestError(
                "tokens", f"token {bad} is outside the vocabulary of {config.vocabulary:,}"
            )
        if len(tokens) > config.max_tokens:
            raise ContextOverflowError(len(tokens), 0, config.max_tokens, field="tokens")
        return torch.float32.itemsize * config.width

    def begin(self, request: EncodeRequest, rng: torch.Generator) -> EncodeProgress:
        """Check the request, as :meth:`weigh` does, and set out; nothing is drawn from ``rng``."""
        self.weigh(request)
        return EncodeProgress(request)

    @torch.inference_mode()
    def advance(
        self, progresses: Sequence[EncodeProgress], grants: Sequence[int]
    ) -> Mapping[int, Exception]:
        """Make the vector of each. One that is not finite fails, and no other does."""
        sequences = [progress.request.tokens for progress in progresses]
        failed: dict[int, Exception] = {}
        for batch in batches([len(tokens) for tokens in sequences]):
            states = self.network.read([sequences[i] for i in batch])
            for i, hidden in zip(batch, states, strict=True):
                vector = self._pool(hidden).cpu()
                if bool(vector.isfinite().all()):
                    progresses[i].vector = vector
                else:
                    failed[i] = MalformedFileError("the model's vector holds NaN or infinity")
        return failed

    def finish(self, progress: EncodeProgress) -> Tensor:
        """Float32 ``[width]``, of length 1 where the config says so; NaN if it was cut short."""
        vector = progress.vector
        return torch.full((self.config.width,), torch.nan) if vector is None else vector

    def _pool(self, hidden: Tensor) -> Tensor:
        """``[length, width]`` to ``[width]``."""
        match self.config.pooling:
            case "mean":
                vector = hidden.mean(0)
            case "cls":
                vector = hidden[0]
            case "max":
                vector = hidden.amax(0)
        return F.normalize(vector, dim=0) if self.config.normalise else vector


def batches(lengths: Sequence[int], budget: int = BATCH_TOKENS) -> list[list[int]]:
    """Places in ``lengths``, longest first, in groups of at most ``budget`` tokens.

    Equal lengths stand together; a length beyond the budget is a group of its own.
    """
    groups: list[list[int]] = []
    room = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if lengths[i] > room or not groups:
            groups.append([])
            room = budget
        groups[-1].append(i)
        room -= lengths[i]
    return groups
