"""A checkpoint as a packed network: the file's own blocks where it has them.

Floats are packed to 8 bits for a decoder, which memory holds up, and to 12 for an encoder, which
arithmetic does: there the four bits more cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.bundle.layout.config import decoder_config
from studiolo.bundle.layout.encoder import encoder_config, encoder_parts
from studiolo.bundle.layout.tensors import Part, fetch, parts
from studiolo.bundle.sentence_transformers import SentenceSettings
from studiolo.errors import MalformedFileError
from studiolo.nn.decoder import Decoder
from studiolo.nn.encoder import Encoder
from studiolo.nn.lower import lower, lower_encoder
from studiolo.nn.packed import Packed, pack
from studiolo.nn.packed_decoder import PackedDecoder
from studiolo.nn.packed_encoder import PackedEncoder
from studiolo.nn.tape import Cached, Player


def load_packed(
    checkpoint: Checkpoint, player: Player, cached: Cached = "float32"
) -> PackedDecoder:
    """Build the packed decoder of a checkpoint, one matrix at a time.

    ``cached``: what keys and values are kept as.
    Raises :class:`MalformedFileError` when a tensor is missing or has another shape.
    """
    config = decoder_config(checkpoint.config)
    with torch.device("meta"):
        source = _Source(checkpoint, parts(config), Decoder(config), 8)
    tape = lower(config, source.matrices, source.vector, player)
    return PackedDecoder(config, replace(tape, cached=cached), player)


def load_packed_encoder(
    checkpoint: Checkpoint, sentence: SentenceSettings, player: Player
) -> PackedEncoder:
    """Build the packed encoder of a checkpoint. Raises as :func:`load_packed`."""
    config = encoder_config(checkpoint.config, sentence)
    with torch.device("meta"):
        source = _Source(checkpoint, encoder_parts(config), Encoder(config), 12)
    tape = lower_encoder(config, source.matrices, source.vector, player)
    return PackedEncoder(config, tape, player)


class _Source:
    """A checkpoint's tensors under the names of our network, which gives their shapes."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        parts: Iterable[Part],
        network: nn.Module,
        bits: Literal[8, 12],
    ) -> None:
        self.bits: Literal[8, 12] = bits
        self.checkpoint, self.present = checkpoint, set(checkpoint.names)
        self.parts = {part.ours: part for part in parts}
        self.shapes = {name: p.shape for name, p in network.named_parameters()}

    def matrices(self, name: str) -> list[Packed]:
        """The pieces that the network fuses, each ``[outputs, inputs]``."""
        part = self.parts[name]
        pieces = [self.matrix(part, theirs) for theirs in part.theirs]
        found = (sum(piece.outputs for piece in pieces), pieces[0].inputs)
        # A table lies [tokens, width], as its pieces do; a product's weight [inputs, outputs].
        table = name in ("embed.weight", "head.weight")
        expected = tuple(self.shapes[name] if table else reversed(self.shapes[name]))
        if found != expected or any(piece.inputs != found[1] for piece in pieces):
            raise MalformedFileError(
                f"tensor {part.theirs[0]!r} has shape {list(found)}, "
                f"but the config asks for {list(expected)}"
            )
        return pieces

    def matrix(self, part: Part, name: str) -> Packed:
        packed = self.checkpoint.blocks(name)
        if packed is None:
            tensor = fetch(self.checkpoint, name, self.present)
            if tensor.ndim != 2:
                raise MalformedFileError(
                    f"tensor {name!r} has shape {list(tensor.shape)}, but a matrix is asked for"
                )
            table = part.ours in ("embed.weight", "head.weight")
            packed = pack(tensor if part.transposed or table else tensor.T, self.bits)
        for halves in (packed.scale, packed.offset):
            if halves is not None:
                _finite(halves, name)
        return packed

    def vector(self, name: str) -> Tensor:
        """A norm, a bias or a small table: float32."""
        part = self.parts[name]
        tensor = torch.cat(
            [fetch(self.checkpoint, theirs, self.present).float() for theirs in part.theirs]
        )
        if tensor.shape != self.shapes[name]:
            raise MalformedFileError(
                f"tensor {part.theirs[0]!r} has shape {list(tensor.shape)}, "
                f"but the config asks for {list(self.shapes[name])}"
            )
        _finite(tensor, part.theirs[0])
        return tensor + part.offset if part.offset else tensor


def _finite(values: Tensor, name: str) -> None:
    """One weight that is no number would make every answer none, and nobody would know why."""
    if not bool(values.isfinite().all()):
        raise MalformedFileError(
            f"tensor {name!r} has weights that are infinite, not a number, or too large",
            remedy="The file is damaged, or its training diverged: fetch or make it anew.",
        )
