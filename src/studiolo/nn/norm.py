"""Normalisation, computed in float32 whatever the model's dtype."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Norm(nn.Module):
    r"""Root-mean-square (Zhang & Sennrich 2019) or layer normalisation (Ba et al. 2016).

    RMS: :math:`y = w\,x / \sqrt{\mathrm{mean}(x^2) + \epsilon}` over the last dimension.
    Weights stay float32: Gemma stores :math:`w - 1`, whose precision bfloat16 would lose.
    """

    def __init__(self, size: int, eps: float, kind: Literal["rms", "layer"] = "rms") -> None:
        super().__init__()
        self.shape, self.eps = (size,), eps
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size)) if kind == "layer" else None

    def forward(self, x: Tensor) -> Tensor:
        """``x``: ``[..., size]``; the same shape and dtype back."""
        if x.dtype != torch.float32:
            return self.forward(x.float()).to(x.dtype)
        if self.bias is None:
            # Written out: F.rms_norm takes more, smaller steps on a CPU.
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)
