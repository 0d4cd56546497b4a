"""A matrix product with its weight as ``[inputs, outputs]``.

That order (and not PyTorch's ``[outputs, inputs]``) makes one row times the weight a single
stream through memory and a single operation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    r""":math:`y = x W + b`. Starts uniform in ±inputs^-½, as :class:`torch.nn.Linear` does."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """``[rows, inputs]`` to ``[rows, outputs]``."""
        if self.bias is None:
            return torch.mm(x, self.weight)
        return torch.addmm(self.bias, x, self.weight)
