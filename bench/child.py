"""One contestant in a process of its own, driven by lines of JSON.

``python -m bench.child MODULE MODEL THREADS``. It says ``{"ready": version}`` once it can
generate; then each line in is ``{"prompt": [ids], "count": n, "timed": bool}`` and each
line out ``{"ticks": [seconds], "made": n}`` or ``{"ids": [...]}``, with ``peak_bytes``.
Libraries print what they like: their standard output is sent to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.contestants import Contestant


def peak_bytes() -> int:
    """Most memory this process has had in RAM at once.

    From ``VmHWM`` on Linux, since ``ru_maxrss`` there remembers the parent's size before
    ``exec``; elsewhere from ``ru_maxrss``.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def timed(contestant: Contestant, prompt: Sequence[int], count: int) -> tuple[list[float], int]:
    """Seconds from the request to each tick, and the number of tokens made."""
    times: list[float] = []
    start = time.perf_counter()
    made = contestant.stream(prompt, count, lambda: times.append(time.perf_counter()))
    return [moment - start for moment in times], made


def answered(contestant: Contestant, request: Mapping[str, Any]) -> dict[str, object]:
    """One request, timed or not."""
    prompt, count = request["prompt"], request["count"]
    if not request["timed"]:
        return {"ids": contestant.continuation(prompt, count)}
    ticks, made = timed(contestant, prompt, count)
    return {"ticks": ticks, "made": made}


def serve(
    module: str,
    model: str,
    threads: int,
    answer: Callable[[Any, Mapping[str, Any]], Mapping[str, object]],
) -> None:
    """Load, say so, and answer until the input ends; each answer also says the peak memory."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**answer: object) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    contestant = import_module(module).CONTESTANT(model, threads)
    say(ready=contestant.version)
    for line in sys.stdin:
        values = answer(contestant, json.loads(line))
        say(**values, peak_bytes=peak_bytes())


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), answered)
