"""A mark in the choice of words that does not change how likely any of them is.

Tournament sampling (Dathathri et al. 2024, "Scalable watermarking for identifying large language
model outputs", Nature 634, 818-823). The tokens before the next one and a secret key give every
candidate a few random bits. Drawn is not straight from the model's distribution but from that of
the winner of a knock-out: of two drawn candidates the one whose bit of this layer is 1 goes on,
layer after layer. Whoever has the key counts the bits of a text: a marked one has too many ones.

Notable choices. *Two candidates meet in each match*, which is the setting that distorts nothing:
over the keys, every token is exactly as likely as the model says. *The tournament is not played
but computed*, as a change of the probabilities, so that a draw takes one uniform, as ever, and the
mark stands behind temperature, top-k, top-p and constraints: what those exclude stays excluded.
*A context marks once*: where the same few tokens have come before in a text, the draw is plain,
so that the text as a whole is not distorted either, and repetitions do not count as evidence.
*The context is of generated tokens alone*: whoever looks at a text later has not its prompt.

This module does not know how a mark is found again (``guard.detector``), nor where keys are kept.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from studiolo.errors import InvalidRequestError
from studiolo.sampler.settings import Decoding
from studiolo.sampler.strategies import highest

SCHEME = b"studiolo watermark: tournament 1"
"""Changed whenever the same key would mark otherwise."""
KEY_BYTES = 32
LAYERS = 30
"""Rounds of the tournament: as many as the paper found best (its supplement, section C)."""
CONTEXT = 4
"""Tokens before the next one that decide, with the key, about its bits; the paper's H."""
HEAD = 1024
"""Candidates that compete, at most: a whole vocabulary would cost as much as the model."""

Weights = NDArray[np.float64]
Ids = NDArray[np.int64]
Words = NDArray[np.uint64]
Seed = tuple[int, int]
Reweigh = Callable[[Ids, Weights], Weights]
"""From candidates' ids, ascending, and their weights to the weights that are drawn by."""

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True)
class Watermark:
    """A key to mark with, of 32 bytes that nobody else should know."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise InvalidRequestError(
                "watermark", f"a key has {KEY_BYTES} bytes, and this one {len(self.key):,}"
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the scheme and the key: what may be told of it."""
        return hashlib.sha256(SCHEME + b"\n" + self.key).hexdigest()

    def check_drawn(self, settings: Decoding) -> None:
        """Raise :class:`InvalidRequestError` where nothing is drawn that could be marked."""
        if not settings.draws:
            beams = settings.beams
            raise InvalidRequestError(
                "watermark",
                "is laid into random draws, and nothing is drawn with "
                + (f"{beams} beams" if beams > 1 else "a temperature of 0"),
                remedy="Set a temperature above 0 and one beam, or ask for no watermark.",
            )

    def seed(self, context: Sequence[int]) -> Seed:
        """Two 64-bit numbers, by BLAKE2b with the key, of the last ``CONTEXT`` token ids."""
        said = struct.pack(f"<{CONTEXT}Q", *context)
        mac = hashlib.blake2b(said, key=self.key, digest_size=16, person=b"studiolo mark 1")
        first, second = struct.unpack("<2Q", mac.digest())
        return first, second


def bits(seed: Seed, ids: Ids) -> Words:
    """For each id a word, whose bit ``l`` from the lowest is its bit in layer ``l``.

    Two rounds of SplitMix64's finaliser (Steele et al. 2014, with Stafford's constants), each
    after one of the seed's numbers has been mixed in. What has to be hard to guess is the seed.
    """
    word = np.uint64(seed[0]) + (ids.astype(np.uint64) + np.uint64(1)) * _STEP
    return _mixed(_mixed(word) ^ np.uint64(seed[1]))


def tournament(seed: Seed, ids: Ids, weights: Weights) -> Weights:
    """Weights of the same sum, by each candidate's chance to win. All ``[n]``; sum above 0.

    Each layer, with ``g`` the candidates' bits, is the paper's equation for two that meet:
    ``p'(x) = p(x) (1 + g(x) − Σ_y p(y) g(y))``. Of more than ``HEAD`` candidates the likeliest
    play for what they have together, and the others keep what they have.
    """
    if weights.size > HEAD:
        head = np.sort(highest(weights.astype(np.float32), HEAD))
        out = weights.copy()
        out[head] = _played(seed, ids[head], weights[head])
        return out
    return _played(seed, ids, weights)


def _played(seed: Seed, ids: Ids, weights: Weights) -> Weights:
    total = weights.sum()
    if weights.size == 1 or total == 0:
        return weights
    p = weights / total
    # Word by word the bits would have to be shifted out of 64-bit numbers, layer after layer.
    octets = bits(seed, ids).astype("<u8").view(np.uint8).reshape(-1, 8)
    layers = np.unpackbits(octets, axis=1, count=LAYERS, bitorder="little").T.astype(np.float64)
    for g in np.ascontiguousarray(layers):
        gain = p * g
        p *= 1.0 - gain.sum()
        p += gain
    won: Weights = p * total
    return won


class Marker:
    """The mark of one text on its way; asked once for each token, in their order."""

    def __init__(self, watermark: Watermark) -> None:
        self._watermark = watermark
        self._seen: set[tuple[int, ...]] = set()

    def next(self, generated: Sequence[int]) -> Reweigh | None:
        """What to do to the next token's weights, after the tokens ``generated``; None: nothing."""
        context = tuple(generated[-CONTEXT:])
        if len(context) < CONTEXT or context in self._seen:
            return None
        self._seen.add(context)
        return partial(tournament, self._watermark.seed(context))


def _mixed(word: Words) -> Words:
    word = (word ^ (word >> np.uint64(30))) * _MIX[0]
    word = (word ^ (word >> np.uint64(27))) * _MIX[1]
    return word ^ (word >> np.uint64(31))
