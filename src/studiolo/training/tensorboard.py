"""Events for TensorBoard beside a run's log: loss, gradient norm, rate, validation.

Written by PyTorch's own writer, which needs the extra ``tensorboard``. A resumed run has what came
after its checkpoint forgotten. Knows what a watcher is told; does not know runs.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from studiolo.errors import MissingExtraError
from studiolo.training.loop import Course

FOLDER = "tensorboard"


def writer() -> Any:
    """PyTorch's class; raises :class:`MissingExtraError` if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("watch.tensorboard", "tensorboard") from None
    return SummaryWriter


class Events:
    """A :class:`Watcher` that writes into ``folder`` / :data:`FOLDER`, after ``from_step``."""

    def __init__(self, folder: Path, from_step: int) -> None:
        """Raises as :func:`writer`."""
        self._writer = writer()(str(folder / FOLDER), purge_step=from_step + 1)

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        """As :meth:`Watcher.step`."""
        for name, value in (
            ("training/loss", loss),
            ("training/smooth", course.loss),
            ("training/gradient_norm", norm),
            ("training/rate_factor", rate),
            ("training/tokens", course.tokens),
        ):
            self._writer.add_scalar(name, value, course.step)

    def evaluated(self, course: Course, validation: float) -> None:
        """As :meth:`Watcher.evaluated`."""
        self._writer.add_scalar("validation/loss", validation, course.step)
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
