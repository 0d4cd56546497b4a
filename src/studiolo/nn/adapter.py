r"""Low-rank updates of a decoder's matrices: LoRA (Hu et al. 2021, arXiv:2106.09685).

.. math:: y \leftarrow W x + s\,B (A x)

An adapter is small, and many may stand beside one network: each sequence of a step is read with
its own, or with none. Does not know files; ``bundle/adapter`` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

Site = tuple[str, int]
"""A product that may be changed: our name of its matrix, and which of the parts fused in it."""


@dataclass(frozen=True, eq=False)
class Update:
    """``down``: A, float32 ``[rank, inputs]``; ``up``: B, float32 ``[outputs, rank]``."""

    down: Tensor
    up: Tensor
    scale: float

    @property
    def rank(self) -> int:
        """Rows of A."""
        return self.down.shape[0]


@dataclass(frozen=True, eq=False)
class Adapter:
    """Updates by their site. ``digest``: SHA-256 of the files; ``name``: what people call it."""

    name: str
    digest: str
    updates: Mapping[Site, Update] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of all matrices."""
        return sum(each.down.nbytes + each.up.nbytes for each in self.updates.values())


@dataclass(frozen=True)
class Adaptation:
    """An adapter in the form of the network that made this of it, and that alone can use it."""

    name: str
    digest: str
    form: object = field(repr=False, compare=False)
