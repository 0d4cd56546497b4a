"""One trainer of ``training.py`` in a process of its own; see :mod:`bench.child`.

A line in is a lesson (``{"steps": n, "every": n, "rate": x}``), a line out its report.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.child import serve
from bench.lessons import Lesson, Trainer


def answered(contestant: Trainer, request: Mapping[str, Any]) -> dict[str, object]:
    """Carry out a lesson."""
    return asdict(contestant.train(Lesson(**request)))


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), answered)
