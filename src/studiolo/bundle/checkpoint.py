"""What every reader of weights yields, whatever the file format.

The common tongue is Hugging Face's: the content of ``config.json`` and
``generation_config.json``, and tensors under the names that ``transformers`` gives them.
Tensors are read one by one, on demand, so that a model can be built without holding its
weights twice. Deliberately unknown here: what the names mean (see ``bundle/layout``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from studiolo.nn.packed import Packed


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk: ``config`` and ``generation`` as JSON values, tensors by name.

    ``generation`` is empty where the files have none. ``read`` fetches one tensor anew
    each time; use :meth:`tensor`, which checks the name. ``read_blocks`` fetches the blocks of a
    quantised matrix, None where a tensor has none.
    """

    path: Path
    config: dict[str, object]
    generation: dict[str, object]
    names: tuple[str, ...]
    read: Callable[[str], Tensor]
    read_blocks: Callable[[str], Packed | None] = lambda name: None

    def tensor(self, name: str) -> Tensor:
        """The tensor in the dtype of the file, or float32 if the file has it quantised.

        Raises :class:`KeyError` for a name that is not in ``names``.
        """
        if name not in self.names:
            raise KeyError(name)
        return self.read(name)

    def blocks(self, name: str) -> Packed | None:
        """The matrix ``[outputs, inputs]`` in the blocks of the file, without loss, if it has any.

        None for a tensor that is not quantised, or not in ``names``.
        """
        return self.read_blocks(name) if name in self.names else None
