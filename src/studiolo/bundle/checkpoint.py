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


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk: ``config`` and ``generation`` as JSON values, tensors by name.

    ``generation`` is empty where the files have none. ``read`` fetches one tensor anew
    each time; use :meth:`tensor`, which checks the name.
    """

    path: Path
    config: dict[str, object]
    generation: dict[str, object]
    names: tuple[str, ...]
    read: Callable[[str], Tensor]

    def tensor(self, name: str) -> Tensor:
        """The tensor in the dtype of the file, or float32 if the file has it quantised.

        Raises :class:`KeyError` for a name that is not in ``names``.
        """
        if name not in self.names:
            raise KeyError(name)
        return self.read(name)
