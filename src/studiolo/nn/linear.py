"""A matrix product with its weight as ``[inputs, outputs]``.

That order (and not PyTorch's ``[outputs, inputs]``) makes one row times the weight a single
stream through memory and a single operation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    r""":math:`y = x W + b`. Starts uniform in ±inputs^-½, as :class:`torch.nn.Linear` does.

    ``update``: while it is set, ``[inputs, rank]`` and ``[rank, outputs]``, whose product is added
    to W.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound)) if bias else None
        self.update: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``[rows, inputs]`` to ``[rows, outputs]``."""
        if self.bias is None:
            y = torch.mm(x, self.weight)
        else:
            y = torch.addmm(self.bias, x, self.weight)
        if self.update is None:
            return y
        down, up = self.update
        return torch.addmm(y, torch.mm(x, down), up)
