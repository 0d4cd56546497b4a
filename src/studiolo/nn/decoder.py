"""A decoder-only transformer (Vaswani et al. 2017; Radford et al. 2019), described by its config.

Knows tokens and vectors. Does not know text, sampling, files or requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studiolo.nn.adapter import Adaptation, Adapter, Update
from studiolo.nn.attention import Attention, Visibility, visibility
from studiolo.nn.cache import FIRST_ROOM, KVCache
from studiolo.nn.config import Activation, DecoderConfig
from studiolo.nn.linear import Linear
from studiolo.nn.network import Piece
from studiolo.nn.norm import Norm
from studiolo.nn.rope import Rope


class Table(nn.Embedding):
    """An embedding that draws no initial values while it is only a shape.

    On the meta device torch would import its whole compiler for that, which takes seconds.
    """

    def reset_parameters(self) -> None:
        """Draw standard normal values, where there is memory to hold them."""
        if not self.weight.is_meta:
            super().reset_parameters()


class MLP(nn.Module):
    """Position-wise feed-forward, gated (Shazeer 2020, GLU variants) or plain."""

    def __init__(
        self, width: int, hidden: int, activation: Activation, *, gated: bool, bias: bool
    ) -> None:
        super().__init__()
        self.gated, self.activation = gated, activation
        self.up = Linear(width, hidden * (2 if gated else 1), bias=bias)
        self.down = Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[rows, width]`` to ``[rows, width]``. Gated: ``up`` holds the gate's rows first."""
        hidden = self.up.forward(x)
        if self.gated:
            gate, value = hidden.chunk(2, dim=-1)
            hidden = self._activate(gate) * value
        else:
            hidden = self._activate(hidden)
        return self.down.forward(hidden)

    def _activate(self, x: Tensor) -> Tensor:
        match self.activation:
            case "silu":
                return F.silu(x)
            case "gelu":
                return F.gelu(x)
            case "gelu_tanh":
                return F.gelu(x, approximate="tanh")
            case "relu":
                return F.relu(x)


class Block(nn.Module):
    """Attention and MLP, each on a normalised copy of the residual stream."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()

        def norm() -> Norm:
            return Norm(config.width, config.norm_eps, config.norm)

        self.attention_norm = norm()
        self.attention = Attention(config, layer)
        self.attention_after = norm() if config.norm_after else None
        self.mlp_norm = norm()
        self.mlp = MLP(
            config.width,
            config.mlp_width,
            config.activation,
            gated=config.gated,
            bias=config.mlp_bias,
        )
        self.mlp_after = norm() if config.norm_after else None

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        sight: Visibility,
        caches: Sequence[KVCache] | None,
    ) -> Tensor:
        """``x``: ``[B * T, width]``; the same shape back."""
        mixed = self.attention.forward(self.attention_norm.forward(x), rotation, sight, caches)
        if self.attention_after is not None:
            mixed = self.attention_after.forward(mixed)
        x = x + mixed
        thought = self.mlp.forward(self.mlp_norm.forward(x))
        if self.mlp_after is not None:
            thought = self.mlp_after.forward(thought)
        return x + thought


class Decoder(nn.Module):
    """Tokens in, final hidden states out; :meth:`logits` turns those into scores."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = Table(config.vocabulary, config.width)
        self.positions = None if config.rope else Table(config.context, config.width)
        self.rope = Rope(config.rope, config.head_size) if config.rope else None
        local = config.local_rope or config.rope
        same = local is None or local == config.rope
        self.local_rope = None if same or local is None else Rope(local, config.head_size)
        self.blocks = nn.ModuleList(Block(config, i) for i in range(len(config.layers)))
        self.norm = Norm(config.width, config.norm_eps, config.norm)
        self.head = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)

    @property
    def dtype(self) -> torch.dtype:
        """Of the matrices and of the residual stream."""
        return self.embed.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embed.weight.device

    @property
    def identity(self) -> str:
        """As :meth:`Network.identity`: ``torch 2.13.0 float32 cpu``, say."""
        return f"torch {torch.__version__} {str(self.dtype)[6:]} {self.device.type}"

    @property
    def invariant(self) -> bool:
        """As :meth:`Network.invariant`: float products are summed in an order that varies."""
        return False

    def new_cache(self) -> KVCache:
        """An empty cache that fits this network."""
        c = self.config
        return KVCache(len(c.layers), c.kv_heads, c.head_size, dtype=self.dtype, device=self.device)

    def cache_bytes(self, tokens: int) -> int:
        """Bytes that a cache of ``tokens`` tokens may hold at most; its room doubles."""
        c = self.config
        room = max(FIRST_ROOM, 2 * tokens)
        return 2 * len(c.layers) * c.kv_heads * c.head_size * room * self.dtype.itemsize

    def forward(
        self,
        tokens: Tensor,
        *,
        real: Tensor | None = None,
        documents: Tensor | None = None,
        caches: Sequence[KVCache] | None = None,
    ) -> Tensor:
        """Final hidden states ``[B, T, width]`` of ``tokens``, int64 ``[B, T]``.

        Without caches: whole sequences; ``real`` (bool ``[B, T]``) marks padding, left or right,
        with false, and positions count the real tokens only; tokens see those of their own
        document alone where ``documents`` (int64 ``[B, T]``) says which that is. With caches:
        ``T`` new tokens for each of B sequences; their lengths may differ when ``T`` is 1, and
        are equal otherwise.
        """
        batch, count = tokens.shape
        steps = torch.arange(count, device=tokens.device)
        if caches is not None:
            for cache in caches:
                cache.reserve(count)
            starts = torch.tensor([cache.length for cache in caches], device=tokens.device)
            positions = starts.unsqueeze(1) + steps
        elif real is not None:
            positions = (real.cumsum(1) - 1).clamp(min=0)
        else:
            positions = steps.expand_as(tokens)
        start = caches[0].length if caches else 0
        decoding = caches is not None and count == 1
        sights = self._sights(batch, count, start, real, documents, decoding)
        rotations = self._rotations(positions)

        x = self.embed(tokens.flatten())
        if self.config.embedding_scale != 1.0:
            x = x * torch.tensor(self.config.embedding_scale, dtype=x.dtype)
        if self.positions is not None:
            x = x + self.positions(positions.flatten())
        for block, layer in zip(self.blocks, self.config.layers, strict=True):
            rotation = rotations[layer.sliding] if layer.rotary else None
            x = block(x, rotation, sights[layer.sliding], caches)
        if caches is not None:
            for cache in caches:
                cache.advance(count)
        return self.norm.forward(x).view(batch, count, -1)

    def adapt(self, adapter: Adapter) -> Adaptation:
        """As :meth:`Network.adapt`: for each matrix, the updates of all its parts side by side."""
        form = {}
        for block in range(len(self.blocks)):
            for product, (_, sizes) in self.config.products.items():
                name = f"blocks.{block}.{product}"
                parts = [adapter.updates.get((name, i)) for i in range(len(sizes))]
                if any(parts):
                    form[name] = self._side_by_side(parts, sizes)
        return Adaptation(adapter.name, adapter.digest, form)

    def _side_by_side(
        self, parts: Sequence[Update | None], sizes: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """``[inputs, ranks]`` and ``[ranks, outputs]``; no part sees another's ranks."""
        given = [part for part in parts if part is not None]
        down = torch.cat([part.down for part in given])
        up = torch.zeros(len(down), sum(sizes))
        row = column = 0
        for part, size in zip(parts, sizes, strict=True):
            if part is not None:
                up[row : row + part.rank, column : column + size] = part.up.T * part.scale
                row += part.rank
            column += size
        return down.T.to(self.device, self.dtype), up.to(self.device, self.dtype)

    @contextmanager
    def _wearing(self, worn: Adaptation | None) -> Iterator[None]:
        form = {} if worn is None else cast(dict[str, tuple[Tensor, Tensor]], worn.form)
        linears = {name: cast(Linear, self.get_submodule(name)) for name in form}
        try:
            for name, linear in linears.items():
                linear.update = form[name]
            yield
        finally:
            for linear in linears.values():
                linear.update = None

    def step(self, pieces: Sequence[Piece[KVCache]]) -> list[Tensor]:
        """As :meth:`Network.step`: those of one adapter after those of another."""
        groups: dict[int, list[int]] = {}
        for i, piece in enumerate(pieces):
            groups.setdefault(id(piece.adapter and piece.adapter.form), []).append(i)
        scores: dict[int, Tensor] = {}
        for group in groups.values():
            with self._wearing(pieces[group[0]].adapter):
                scores |= self._read({i: pieces[i] for i in group})
        return [scores[i] for i in range(len(pieces))]

    def interrupt(self) -> None:
        """As :meth:`Network.interrupt`: it cannot be."""

    def _read(self, pieces: Mapping[int, Piece[KVCache]]) -> dict[int, Tensor]:
        """Single tokens together, longer pieces one by one."""
        scores: dict[int, Tensor] = {}
        if single := [i for i, piece in pieces.items() if len(piece.tokens) == 1]:
            tokens = torch.tensor([pieces[i].tokens for i in single], device=self.device)
            hidden = self.forward(tokens, caches=[pieces[i].cache for i in single])
            for i, row in zip(single, self.logits(hidden), strict=True):
                scores[i] = row[1 - pieces[i].wanted :]
        for i, piece in pieces.items():
            if i not in scores:
                tokens = torch.tensor([piece.tokens], device=self.device)
                hidden = self.forward(tokens, caches=[piece.cache])[0]
                scores[i] = self.logits(hidden[len(piece.tokens) - piece.wanted :])
        return scores

    def logits(self, hidden: Tensor) -> Tensor:
        """Float32 scores ``[..., vocabulary]`` of the next token."""
        weight = self.embed.weight if self.head is None else self.head.weight
        return F.linear(hidden, weight).float()

    def _sights(
        self,
        batch: int,
        tokens: int,
        start: int,
        real: Tensor | None,
        documents: Tensor | None,
        decoding: bool,
    ) -> tuple[Visibility, Visibility]:
        window = self.config.window
        if decoding:
            return Visibility(None, None, batch), Visibility(None, window, batch)
        full = visibility(batch, tokens, start, None, real, self.device, documents)
        if window is None:
            return full, full
        return full, visibility(batch, tokens, start, window, real, self.device, documents)

    def _rotations(
        self, positions: Tensor
    ) -> tuple[tuple[Tensor, Tensor] | None, tuple[Tensor, Tensor] | None]:
        if self.rope is None:
            return None, None
        full = self.rope(positions, self.dtype)
        return full, full if self.local_rope is None else self.local_rope(positions, self.dtype)
