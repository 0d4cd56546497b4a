"""Causal self-attention with grouped queries, optional QK norms and sliding windows.

Queries, keys and values come from one fused matrix; queries and keys are turned together.
The same code serves training (a padded batch), prefill (one sequence) and decoding (one
token for each of several sequences of different lengths, each with its own cache).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studiolo.nn.cache import KVCache
from studiolo.nn.config import DecoderConfig
from studiolo.nn.linear import Linear
from studiolo.nn.norm import Norm
from studiolo.nn.rope import rotate


@dataclass(frozen=True)
class Visibility:
    """Which keys a layer's queries may see.

    ``mask``: bool ``[B or 1, 1, T, S]``, or None when plain causality (``T == S``) says all.
    ``window``: how many of the newest cached positions one decoded token sees. ``batch``: how
    many sequences the rows belong to.
    """

    mask: Tensor | None
    window: int | None
    batch: int


def visibility(
    batch: int,
    tokens: int,
    start: int,
    window: int | None,
    real: Tensor | None,
    device: torch.device,
    documents: Tensor | None = None,
) -> Visibility:
    """The rule for one forward pass of ``batch`` times ``tokens`` after ``start`` cached ones.

    ``real``: bool ``[batch, tokens]``, false where a token is padding; ``documents``: int64
    ``[batch, tokens]``, of which document a token is (both only without a cache). A query at
    position p sees keys of its own document in ``(p - window, p]``.
    """
    plain = real is None and documents is None
    if plain and start == 0 and (window is None or tokens <= window):
        return Visibility(None, window, batch)
    query = torch.arange(start, start + tokens, device=device).unsqueeze(1)
    key = torch.arange(start + tokens, device=device)
    seen = key <= query
    if window is not None:
        seen &= key > query - window
    mask = seen[None, None]
    if real is not None:
        # A padded query sees itself, so that its softmax stays finite; nobody reads its output.
        mask = mask & (real[:, None, None, :] | (key == query))
    if documents is not None:
        mask = mask & (documents[:, None, :, None] == documents[:, None, None, :])
    return Visibility(mask, window, batch)


class Attention(nn.Module):
    """One attention sublayer, without its surrounding norms and residual."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.size = config.heads, config.kv_heads, config.head_size
        self.scale = config.attention_scale or config.head_size**-0.5
        rows = (self.heads + 2 * self.kv_heads) * self.size
        self.qkv = Linear(config.width, rows, bias=config.qkv_bias)
        self.out = Linear(self.heads * self.size, config.width, bias=config.out_bias)
        self.q_norm = Norm(self.size, config.norm_eps) if config.qk_norm else None
        self.k_norm = Norm(self.size, config.norm_eps) if config.qk_norm else None

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        sight: Visibility,
        caches: Sequence[KVCache] | None,
    ) -> Tensor:
        """``x``: ``[B * T, width]``, sequence after sequence; ``caches``: one for each, or None."""
        heads = self.qkv.forward(x).view(x.shape[0], -1, self.size)
        turned = self.heads + self.kv_heads
        qk, v = heads[:, :turned], heads[:, turned:]
        if self.q_norm is not None and self.k_norm is not None:
            q, k = qk[:, : self.heads], qk[:, self.heads :]
            qk = torch.cat([self.q_norm.forward(q), self.k_norm.forward(k)], dim=1)
        if rotation is not None:
            qk = rotate(qk, *rotation)
        q, k = qk[:, : self.heads], qk[:, self.heads :]
        if caches is None:
            mixed = self._together(q, k, v, sight)
        elif len(caches) == 1:
            mixed = self._cached(q, k, v, caches[0], sight)
        else:
            count = x.shape[0] // len(caches)
            spans = [slice(i * count, (i + 1) * count) for i in range(len(caches))]
            mixed = torch.cat(
                [
                    self._cached(q[span], k[span], v[span], cache, sight)
                    for span, cache in zip(spans, caches, strict=True)
                ]
            )
        return self.out.forward(mixed)

    def _together(self, q: Tensor, k: Tensor, v: Tensor, sight: Visibility) -> Tensor:
        """B whole sequences: ``[B * T, heads, size]`` to ``[B * T, heads * size]``."""
        q, k, v = (
            part.view(sight.batch, -1, part.shape[1], self.size).transpose(1, 2)
            for part in (q, k, v)
        )
        return self._many(q, k, v, sight.mask)

    def _cached(self, q: Tensor, k: Tensor, v: Tensor, cache: KVCache, sight: Visibility) -> Tensor:
        """One sequence: its T new queries, ``[T, heads, size]``, on all of its past."""
        count = q.shape[0]
        if count > 1:
            past = cache.extend(self.layer, k.transpose(0, 1)[None], v.transpose(0, 1)[None])
            return self._many(q.transpose(0, 1)[None], *past, sight.mask)
        one = (1, self.kv_heads, 1, self.size)
        keys, values = cache.extend(self.layer, k.view(one), v.view(one))
        if sight.window is not None:
            keys, values = keys[:, :, -sight.window :], values[:, :, -sight.window :]
        # The heads of a group stand in as the rows of one query: no key is read twice.
        grouped = q.view(1, self.kv_heads, -1, self.size)
        mixed = F.scaled_dot_product_attention(grouped, keys, values, scale=self.scale)
        return mixed.reshape(1, -1)

    def _many(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, heads, T, size]`` on ``[B, kv_heads, S, size]`` to ``[B * T, heads * size]``."""
        mixed = F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=mask is None, scale=self.scale, enable_gqa=True
        )
        return mixed.transpose(1, 2).reshape(-1, self.heads * self.size)
