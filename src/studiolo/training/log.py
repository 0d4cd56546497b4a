"""A run's log: one JSON object a line, for programs and for the report at the end.

``{"step", "loss", "smooth", "norm", "factor", "tokens", "seconds"}`` of about a thousand steps,
``{"step", "validation"}`` of every evaluation and ``{"step", "sample"}`` of what was written.
A resumed run first cuts off what came after its checkpoint, so that no step stands twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from studiolo.record.journal import Journal, replace_file
from studiolo.training.loop import Course

LINES = 1_000


class Log:
    """The log at ``path`` of a run of ``steps``, which goes on after step ``from_step``."""

    def __init__(self, path: Path, steps: int, from_step: int) -> None:
        self.path, self._every = path, max(1, steps // LINES)
        kept = [line for line in read_log(path) if line["step"] <= from_step]
        replace_file(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._file = path.open("a", encoding="utf-8")

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        """As :meth:`Watcher.step`."""
        if course.step % self._every == 0:
            self.write(
                step=course.step,
                loss=loss,
                smooth=course.loss,
                norm=norm,
                factor=rate,
                tokens=course.tokens,
                seconds=round(course.seconds, 3),
            )

    def evaluated(self, course: Course, validation: float) -> None:
        """As :meth:`Watcher.evaluated`."""
        self.write(step=course.step, validation=validation, seconds=round(course.seconds, 3))

    def write(self, **values: Any) -> None:
        """Add a line, which has a ``step``."""
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; none of one that is not there, and not half a line at its end."""
    if not path.exists():
        return
    with Journal(path) as journal:
        for line in journal.lines():
            yield json.loads(line)
