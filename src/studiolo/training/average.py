r"""An exponential moving average of the weights: :math:`a \leftarrow d\,a + (1 - d)\,w`.

Polyak & Juditsky 1992, in the form used since. While it is young the decay is bounded by
:math:`(1 + n) / (10 + n)` after :math:`n` updates, so that the random start is soon forgotten.
Knows tensors by name; does not know what they are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Average:
    """The average of ``weights``, which it follows and can stand in for."""

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        """``decay``: 0 to 1, the part that stays at each update."""
        self.decay = decay
        self._live = list(weights.values())
        self.values = {name: tensor.detach().clone() for name, tensor in weights.items()}

    @torch.no_grad()
    def update(self, count: int) -> None:
        """Move towards the weights as they are now; ``count``: updates made before this one."""
        decay = min(self.decay, (1 + count) / (10 + count))
        torch._foreach_lerp_(list(self.values.values()), self._live, 1 - decay)

    @contextmanager
    def worn(self) -> Iterator[None]:
        """Have the weights be the average within; their own values come back after."""
        own = [tensor.detach().clone() for tensor in self._live]
        with torch.no_grad():
            torch._foreach_copy_(self._live, list(self.values.values()))
            try:
                yield
            finally:
                torch._foreach_copy_(self._live, own)
