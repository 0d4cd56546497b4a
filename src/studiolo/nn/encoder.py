"""A transformer that reads a text from both sides (BERT: Devlin et al. 2018), without padding.

Every token of every sequence is one row; sequences of any lengths lie one after another. All
but attention works on rows alone, and attention takes each run of equally long sequences at
once: nothing is padded, so there is no mask, and a sequence costs what its own length costs.

Knows tokens and vectors. Does not know text, files, requests, or how rows become one vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studiolo.nn.config import EncoderConfig
from studiolo.nn.decoder import MLP, Table
from studiolo.nn.linear import Linear
from studiolo.nn.norm import Norm


class BothWays(nn.Module):
    """Self-attention in which every token sees its whole sequence; without norm and residual."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads, self.size = config.heads, config.width // config.heads
        self.qkv = Linear(config.width, 3 * config.width, bias=True)
        self.out = Linear(config.width, config.width, bias=True)

    def forward(self, x: Tensor, runs: Sequence[tuple[int, int]]) -> Tensor:
        """``x``: ``[rows, width]``; ``runs``: (sequences, their common length), in row order."""
        rows = torch.split(self.qkv.forward(x), [count * length for count, length in runs])
        mixed = []
        for part, (count, length) in zip(rows, runs, strict=True):
            heads = part.view(count, length, 3, self.heads, self.size)
            q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)
            mixed.append(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten())
        return self.out.forward(torch.cat(mixed).view(x.shape))


class EncoderBlock(nn.Module):
    """Attention and MLP, the sum with the residual normalised after each (post-layer-norm)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = BothWays(config)
        self.attention_norm = Norm(config.width, config.norm_eps, "layer")
        self.mlp = MLP(config.width, config.mlp_width, config.activation, gated=False, bias=True)
        self.mlp_norm = Norm(config.width, config.norm_eps, "layer")

    def forward(self, x: Tensor, runs: Sequence[tuple[int, int]]) -> Tensor:
        """``x``: ``[rows, width]``; the same shape back."""
        x = self.attention_norm.forward(x + self.attention.forward(x, runs))
        return self.mlp_norm.forward(x + self.mlp.forward(x))


class Encoder(nn.Module):
    """Tokens in, one hidden state for each token out."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = Table(config.vocabulary, config.width)
        self.positions = Table(config.positions, config.width)
        self.segments = Table(config.segments, config.width) if config.segments else None
        self.norm = Norm(config.width, config.norm_eps, "layer")
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config.layers))

    def forward(self, tokens: Tensor, lengths: Sequence[int]) -> Tensor:
        """Hidden states ``[rows, width]`` of ``tokens``, int64 ``[rows]``.

        ``lengths``: of the sequences that lie one after another in ``tokens``; at least 1 each,
        ``rows`` in sum. Equal lengths should stand together: each run of them is one attention.
        """
        runs = [(len(list(same)), length) for length, same in groupby(lengths)]
        steps = [torch.arange(length, device=tokens.device).repeat(n) for n, length in runs]
        places = torch.cat(steps) + self.config.first_position
        x: Tensor = self.embed(tokens) + self.positions(places)
        if self.segments is not None:
            x = x + self.segments.weight[0]  # one text is all of the first segment
        x = self.norm.forward(x)
        for block in self.blocks:
            x = block(x, runs)
        return x

    def read(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        """Float32 hidden states ``[length, width]`` of each sequence of token ids."""
        lengths = [len(sequence) for sequence in sequences]
        ids = [id for sequence in sequences for id in sequence]
        tokens = torch.tensor(ids, device=self.embed.weight.device)
        return list(torch.split(self.forward(tokens, lengths).float(), lengths))
