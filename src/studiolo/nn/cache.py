"""Keys and values of one sequence, for every layer.

Room is doubled when it runs out, so a token costs amortised constant time and nothing is
copied on the way. Each layer's keys, and values, are ``[1, kv_head, position, head_size]``.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        shape = (1, kv_heads, FIRST_ROOM, head_size)
        self._keys, self._values = (
            [torch.empty(shape, dtype=dtype, device=device) for _ in range(layers)]
            for _ in range(2)
        )
        self.length = 0

    def reserve(self, tokens: int) -> None:
        """Make room for ``tokens`` more positions than are stored."""
        needed, room = self.length + tokens, self._keys[0].shape[2]
        if needed <= room:
            return
        room = max(needed, 2 * room)
        self._keys = [self._moved(old, room) for old in self._keys]
        self._values = [self._moved(old, room) for old in self._values]

    def _moved(self, old: Tensor, room: int) -> Tensor:
        new = old.new_empty((1, old.shape[1], room, old.shape[3]))
        new[:, :, : self.length] = old[:, :, : self.length]
        return new

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store ``[1, kv_heads, T, head_size]`` after :meth:`reserve`; all the layer's past back.

        ``length`` moves only with :meth:`advance`, once every layer has stored its part.
        """
        count = keys.shape[2]
        end = self.length + count
        all_keys, all_values = self._keys[layer], self._values[layer]
        all_keys.narrow(2, self.length, count).copy_(keys)
        all_values.narrow(2, self.length, count).copy_(values)
        return all_keys.narrow(2, 0, end), all_values.narrow(2, 0, end)

    def advance(self, tokens: int) -> None:
        """Count ``tokens`` newly stored positions."""
        self.length += tokens

    def fork(self, length: int | None = None) -> Self:
        """An independent copy, for hypotheses that share a past, or of its first tokens."""
        copy = object.__new__(type(self))
        copy.length = self.length if length is None else length
        room = self._keys[0].shape[2] if length is None else max(FIRST_ROOM, length)
        copy._keys = [copy._moved(keys, room) for keys in self._keys]
        copy._values = [copy._moved(values, room) for values in self._values]
        return copy

    def truncate(self, length: int) -> None:
        """As :meth:`Cache.truncate`; what follows is written over."""
        self.length = length

    @property
    def nbytes(self) -> int:
        """Bytes held, room included."""
        return sum(keys.nbytes for keys in self._keys) * 2

    @property
    def parts(self) -> Mapping[int, int]:
        """As :attr:`Cache.parts`: nothing is shared, so one part."""
        return {id(self): self.nbytes}
