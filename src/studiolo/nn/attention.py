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
from studiolo.nn.norm import Norm
from studiolo.nn.rope import rotate


@dataclass(frozen=True)
class Visibility:
    """Which keys a layer's queries may see.

    ``mask``: bool ``[B or 1, 1, T, S]``, or None when plain causality (``T == S``) says all.
    ``window``: how many of the newest cached positions one decoded token sees.
    """

    mask: Tensor | None
    window: int | None


def visibility(
    tokens: int, start: int, window: int | None, real: Tensor | None, device: torch.device
) -> Visibility:
    """The rule for one forward pass of ``T`` tokens after ``start`` cached ones.

    ``real``: bool ``[B, T]``, false where a token is padding
    (only without a cache). A query at position p sees keys in ``(p - window, p]``.
    """
    if real is None and start == 0 and (window is None or tokens <= window):
        return Visibility(None, window)
    query = torch.arange(start, start + tokens, device=device).unsqueeze(1)
    key = torch.arange(start + tokens, device=device)
    seen = key <= query
    if window is not None:
        seen &= key > query - window
    mask = seen[None, None]
    if real is not None:
        # A padded query sees itself, so that its softmax stays finite; nobody reads its output.
        mask = mask & (real[:, None, None, :] | (key == query))
    return Visibility(mask, window)


class Attention(nn.Module):
    """One attention sublayer, without its surrounding norms and residual."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.size = config.heads, config.kv_heads, config.head_size
        self.scale = config.attention_scale or config.head_size**-0.5
        rows = (self.heads + 2 * self.kv_heads) * self.size
        self.qkv = nn.Linear(config.width, rows, bias=config.qkv_bias)
        self.out = nn.Linear(self.heads * self.size, config.width, bias=config.out_bias)
        self.q_norm = Norm(self.size, config.norm_eps) if config.qk_norm else None
        self.k_norm = Norm(self.size, config.norm_eps) if config.qk_norm else None

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        sight: Visibility,
        caches: Sequence[KVCache] | None,
    ) -> Tensor:
        """``x``: ``[B, T, width]``; ``caches``: one for each of the B rows, or None."""
        batch, count, _ = x.shape
        heads = self.qkv.forward(x).view(batch, count, -1, self.size).transpose(1, 2)
        turned = self.heads + self.kv_heads
        qk, v = heads[:, :turned], heads[:, turned:]
        if self.q_norm is not None and self.k_norm is not None:
            q, k = qk[:, : self.heads], qk[:, self.heads :]
            qk = torch.cat([self.q_norm.forward(q), self.k_norm.forward(k)], dim=1)
        if rotation is not None:
            qk = rotate(qk, *rotation)
        q, k = qk[:, : self.heads], qk[:, self.heads :]
        if caches is None:
            mixed = self._many(q, k, v, sight.mask)
        elif len(caches) == 1:
            mixed = self._cached(q, k, v, caches[0], sight)
        else:
            one = [
                self._cached(q[i : i + 1], k[i : i + 1], v[i : i + 1], cache, sight)
                for i, cache in enumerate(caches)
            ]
            mixed = torch.cat(one)
        return self.out.forward(mixed.transpose(1, 2).reshape(batch, count, -1))

    def _cached(self, q: Tensor, k: Tensor, v: Tensor, cache: KVCache, sight: Visibility) -> Tensor:
        """One sequence: its new queries, ``[1, heads, T, size]``, on all of its past."""
        keys, values = cache.extend(self.layer, k, v)
        if q.shape[2] > 1:
            return self._many(q, keys, values, sight.mask)
        if sight.window is not None:
            keys, values = keys[:, :, -sight.window :], values[:, :, -sight.window :]
        # The heads of a group stand in as the rows of one query: no key is read twice.
        grouped = q.reshape(1, self.kv_heads, -1, self.size)
        mixed = F.scaled_dot_product_attention(grouped, keys, values, scale=self.scale)
        return mixed.reshape(1, self.heads, 1, self.size)

    def _many(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        return F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=mask is None, scale=self.scale, enable_gqa=True
        )
