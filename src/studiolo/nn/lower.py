"""A network's description and weights, lowered to a :class:`Tape`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from studiolo.errors import MalformedFileError
from studiolo.nn.adapter import Site
from studiolo.nn.config import DecoderConfig, EncoderConfig
from studiolo.nn.packed import Packed
from studiolo.nn.tape import ACTIVATIONS, SCORES, Kind, Op, Player, Tape, padded

X, NORMED, QKV, MIXED, UP, HIDDEN = range(6)
IN, HEADS, INNER = range(3)
FLOATS = {IN: NORMED, HEADS: MIXED, INNER: HIDDEN}
"""Of what a decoder's products read, the buffer that it is rounded from."""
Matrices = Callable[[str], Sequence[Packed]]
Vectors = Callable[[str], Tensor]


def lower(config: DecoderConfig, matrices: Matrices, vectors: Vectors, player: Player) -> Tape:
    """The tape of a decoder.

    ``matrices``: by the decoder's own parameter name, the packed pieces whose outputs it fuses.
    ``vectors``: norms, biases and the position table, float32, by the same names.
    """
    return _DecoderLowering(config, matrices, vectors, player).tape()


def lower_encoder(
    config: EncoderConfig, matrices: Matrices, vectors: Vectors, player: Player
) -> Tape:
    """The tape of an encoder; its scores are the hidden states. Arguments as of :func:`lower`."""
    return _EncoderLowering(config, matrices, vectors, player).tape()


class _Lowering:
    """What decoders and encoders have in common."""

    def __init__(self, width: int, matrices: Matrices, vectors: Vectors, player: Player) -> None:
        self.width = width
        self.matrices, self.vectors, self.player = matrices, vectors, player

    def quantize(self, src: int, slot: int, size: int, *, wanted: bool = False) -> Op:
        return Op(Kind.QUANTIZE, src, slot, size=size, wanted=wanted, barrier=True)

    def linear(
        self,
        name: str,
        src: int,
        dst: int,
        *sizes: int,
        bias: bool,
        accumulate: bool = False,
    ) -> Iterator[Op]:
        """The parts of ``sizes`` side by side, each from a whole block on; then all wait."""
        pieces, column, row = self.pieces(f"{name}.weight", sizes), 0, 0
        biases = self.vectors(f"{name}.bias") if bias else None
        for i, piece in enumerate(pieces):
            yield Op(
                Kind.LINEAR,
                src,
                dst,
                dst_column=column,
                size=piece.outputs,
                matrix=self.player.hold(piece),
                bias=None if biases is None else biases[row : row + piece.outputs],
                accumulate=accumulate,
                barrier=i == len(pieces) - 1,
            )
            row += piece.outputs
            column += padded(piece.outputs)

    def pieces(self, name: str, sizes: Sequence[int]) -> Sequence[Packed]:
        """One matrix for each size. Other sizes of the same sum would write where others are."""
        found = self.matrices(name)
        outputs = [piece.outputs for piece in found]
        if len(found) == 1 and sum(outputs) == sum(sizes):
            return found[0].split(sizes)
        if outputs != list(sizes):
            raise MalformedFileError(
                f"the parts of {name!r} have {outputs} rows, but the config asks for {list(sizes)}"
            )
        return found

    def layer_norm(self, name: str, eps: float, src: int, dst: int) -> Op:
        weight, bias = self.vectors(f"{name}.weight"), self.vectors(f"{name}.bias")
        return Op(Kind.NORM, src, dst, size=self.width, value=eps, weight=weight, bias=bias)


class _EncoderLowering(_Lowering):
    """Post-layer-norm blocks; every layer's keys and values take the same page."""

    def __init__(
        self, config: EncoderConfig, matrices: Matrices, vectors: Vectors, player: Player
    ) -> None:
        super().__init__(config.width, matrices, vectors, player)
        self.config = config

    def tape(self) -> Tape:
        c = self.config
        embed = self.player.hold(*self.matrices("embed.weight"))
        # One text is all of the first segment, so its vector is part of every position's.
        table = self.vectors("positions.weight")[c.first_position :]
        if c.segments:
            table = table + self.vectors("segments.weight")[0]
        ops = [
            Op(Kind.EMBED, dst=X, size=c.width, matrix=embed, value=1.0),
            Op(Kind.ADD_TABLE, dst=X, size=c.width, weight=table),
            self.layer_norm("norm", c.norm_eps, X, X),
        ]
        for i in range(c.layers):
            ops += self.block(i)
        ops[-1] = replace(ops[-1], dst=SCORES)
        qkv, inner = 3 * padded(c.width), padded(c.mlp_width)
        return Tape(
            ops=tuple(ops),
            buffers=(padded(c.width), 16, qkv, padded(c.width), inner, inner),
            slots=(c.width, c.width, c.mlp_width),
            layers=1,
            heads=c.heads,
            kv_heads=c.heads,
            head_size=c.width // c.heads,
            scores=c.width,
        )

    def block(self, i: int) -> Iterator[Op]:
        c, name, column = self.config, f"blocks.{i}", padded(self.config.width)
        size = c.width // c.heads
        yield self.quantize(X, IN, c.width)
        yield from self.linear(f"{name}.attention.qkv", IN, QKV, *[c.width] * 3, bias=True)
        yield Op(
            Kind.STORE, QKV, QKV, src_column=column, dst_column=2 * column, size=size, barrier=True
        )
        yield Op(Kind.ATTEND, QKV, MIXED, size=size, heads=c.heads, value=size**-0.5, barrier=True)
        yield self.quantize(MIXED, HEADS, c.width)
        yield from self.linear(
            f"{name}.attention.out", HEADS, X, c.width, bias=True, accumulate=True
        )
        yield self.layer_norm(f"{name}.attention_norm", c.norm_eps, X, X)
        yield self.quantize(X, IN, c.width)
        yield from self.linear(f"{name}.mlp.up", IN, UP, c.mlp_width, bias=True)
        activation = ACTIVATIONS.index(c.activation)
        yield Op(Kind.GATE, UP, HIDDEN, size=c.mlp_width, flag=activation)
        yield self.quantize(HIDDEN, INNER, c.mlp_width)
        yield from self.linear(f"{name}.mlp.down", INNER, X, c.width, bias=True, accumulate=True)
        yield self.layer_norm(f"{name}.mlp_norm", c.norm_eps, X, X)


class _DecoderLowering(_Lowering):
    def __init__(
        self, config: DecoderConfig, matrices: Matrices, vectors: Vectors, player: Player
    ) -> None:
        super().__init__(config.width, matrices, vectors, player)
        self.config = config
        self.slots = (config.width, config.heads * config.head_size, config.mlp_width)
        self.sites: list[Site] = []

    def tape(self) -> Tape:
        c = self.config
        embed = self.player.hold(*self.matrices("embed.weight"))
        ops = [Op(Kind.EMBED, dst=X, size=c.width, matrix=embed, value=c.embedding_scale)]
        if c.rope is None:
            table = self.vectors("positions.weight")
            ops.append(Op(Kind.ADD_TABLE, dst=X, size=c.width, weight=table))
        for i in range(len(c.layers)):
            ops += self.attention(i)
            ops += self.mlp(i)
        head = embed if c.tied else self.player.hold(*self.matrices("head.weight"))
        ops += [
            self.norm("norm", X, NORMED, wanted=True),
            self.quantize(NORMED, IN, c.width, wanted=True),
            Op(Kind.LINEAR, IN, SCORES, matrix=head, wanted=True, barrier=True),
        ]
        mixed = c.heads * c.head_size
        qkv = padded(mixed) + 2 * padded(c.kv_heads * c.head_size)
        width, inner = padded(c.width), padded(c.mlp_width)
        return Tape(
            ops=tuple(ops),
            buffers=(width, width, qkv, padded(mixed), inner * (2 if c.gated else 1), inner),
            slots=self.slots,
            layers=len(c.layers),
            heads=c.heads,
            kv_heads=c.kv_heads,
            head_size=c.head_size,
            scores=c.vocabulary,
            sites=tuple(self.sites),
        )

    def linear(
        self,
        name: str,
        src: int,
        dst: int,
        *sizes: int,
        bias: bool,
        accumulate: bool = False,
    ) -> Iterator[Op]:
        """As of every network; adapters may change it, from the floats that ``src`` was made of."""
        ops = list(super().linear(name, src, dst, *sizes, bias=bias, accumulate=accumulate))
        first = len(self.sites)
        self.sites += [(name, i) for i in range(len(ops))]
        floats, size = FLOATS[src], self.slots[src]
        yield Op(Kind.SHRINK, floats, size=size, heads=len(ops), site=first, barrier=True)
        yield from (replace(op, site=first + i, flag=i) for i, op in enumerate(ops))

    def norm(self, name: str, src: int, dst: int, *, wanted: bool = False) -> Op:
        c = self.config
        bias = self.vectors(f"{name}.bias") if c.norm == "layer" else None
        weight = self.vectors(f"{name}.weight")
        return Op(
            Kind.NORM,
            src,
            dst,
            size=c.width,
            value=c.norm_eps,
            wanted=wanted,
            weight=weight,
            bias=bias,
        )

    def biased(self, name: str) -> bool:
        c = self.config
        return c.out_bias if name.endswith(".out") else c.mlp_bias

    def into_stream(self, name: str, after: str, src: int) -> Iterator[Op]:
        """A product added to the residual stream, normalised on the way if the config says so."""
        width, bias = self.config.width, self.biased(name)
        if not self.config.norm_after:
            yield from self.linear(name, src, X, width, bias=bias, accumulate=True)
            return
        yield from self.linear(name, src, NORMED, width, bias=bias)
        yield replace(self.norm(after, NORMED, X), accumulate=True, barrier=True)

    def attention(self, i: int) -> Iterator[Op]:
        c, name = self.config, f"blocks.{i}"
        layer, size = c.layers[i], c.head_size
        _, sizes = c.products["attention.qkv"]
        key = padded(sizes[0])
        value = key + padded(sizes[1])
        yield self.norm(f"{name}.attention_norm", X, NORMED)
        yield self.quantize(NORMED, IN, c.width)
        yield from self.linear(f"{name}.attention.qkv", IN, QKV, *sizes, bias=c.qkv_bias)
        for part, column, heads in (("q", 0, c.heads), ("k", key, c.kv_heads)):
            if c.qk_norm:
                yield Op(
                    Kind.NORM,
                    QKV,
                    QKV,
                    src_column=column,
                    dst_column=column,
                    size=size,
                    heads=heads,
                    value=c.norm_eps,
                    weight=self.vectors(f"{name}.attention.{part}_norm.weight"),
                )
            if c.rope is not None and layer.rotary:
                table = int(layer.sliding and c.local_rope is not None)
                yield Op(Kind.ROTATE, QKV, src_column=column, size=size, heads=heads, flag=table)
        yield Op(
            Kind.STORE, QKV, QKV, src_column=key, dst_column=value, size=size, flag=i, barrier=True
        )
        yield Op(
            Kind.ATTEND,
            QKV,
            MIXED,
            size=size,
            heads=c.heads,
            flag=i,
            window=(c.window or 0) if layer.sliding else 0,
            value=c.attention_scale or size**-0.5,
            barrier=True,
        )
        yield self.quantize(MIXED, HEADS, c.heads * size)
        yield from self.into_stream(f"{name}.attention.out", f"{name}.attention_after", HEADS)

    def mlp(self, i: int) -> Iterator[Op]:
        c, name = self.config, f"blocks.{i}"
        yield self.norm(f"{name}.mlp_norm", X, NORMED)
        yield self.quantize(NORMED, IN, c.width)
        _, sizes = c.products["mlp.up"]
        yield from self.linear(f"{name}.mlp.up", IN, UP, *sizes, bias=c.mlp_bias)
        yield Op(
            Kind.GATE,
            UP,
            HIDDEN,
            size=c.mlp_width,
            heads=2 if c.gated else 1,
            flag=ACTIVATIONS.index(c.activation),
        )
        yield self.quantize(HIDDEN, INNER, c.mlp_width)
        yield from self.into_stream(f"{name}.mlp.down", f"{name}.mlp_after", INNER)
