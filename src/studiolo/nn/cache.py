"""Keys and values of one sequence, for every layer.

Room is doubled when it runs out, so a token costs amortised constant time and nothing is
copied on the way. Layout: ``[layer, key-or-value, kv_head, position, head_size]``.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

FIRST_ROOM = 64


class KVCache:
    """The past of one sequence. ``length`` counts the tokens that every layer has stored."""

    def __init__(
        self,
        layers: int,
        kv_heads: int,
        head_size: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (layers, 2, kv_heads, FIRST_ROOM, head_size)
        self._store = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` more positions than are stored."""
        needed = self.length + tokens
        room = self._store.shape[3]
        if needed <= room:
            return
        grown = self._store.new_empty(
            (*self._store.shape[:3], max(needed, 2 * room), self._store.shape[4])
        )
        grown[:, :, :, : self.length] = self._store[:, :, :, : self.length]
        self._store = grown

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store ``[kv_heads, T, head_size]`` after :meth:`reserve`; all of the layer's past back.

        ``length`` moves only with :meth:`advance`, once every layer has stored its part.
        """
        end = self.length + keys.shape[1]
        store = self._store[layer]
        store[0, :, self.length : end] = keys
        store[1, :, self.length : end] = values
        return store[0, :, :end], store[1, :, :end]

    def advance(self, tokens: int) -> None:
        """Count ``tokens`` newly stored positions."""
        self.length += tokens

    def fork(self) -> Self:
        """An independent copy, for hypotheses that share a past."""
        copy = object.__new__(type(self))
        copy._store = self._store.clone()
        copy.length = self.length
        return copy

    @property
    def nbytes(self) -> int:
        """Bytes held, room included."""
        return self._store.nbytes
