"""One contestant of ``adaptation.py`` in a process of its own; see :mod:`bench.child`.

A line in is an exercise, a line out its outcome.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.adapting import Adapter, Exercise
from bench.child import serve


def answered(contestant: Adapter, request: Mapping[str, Any]) -> dict[str, object]:
    """Carry out an exercise."""
    return asdict(contestant.adapt(Exercise(**request)))


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), answered)
