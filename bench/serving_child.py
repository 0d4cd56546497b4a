"""One contestant of ``text_serving.py`` in a process of its own; see :mod:`bench.child`.

A line in makes room (``{"streams": n, "tokens": n}``), continues prompts at once (``{"prompts":
[[ids]], "count": n}``), asks for a short request beside a long one (``{"long": [ids], "short":
[ids], "after": seconds}``), or for the machine's limits (``{"limits": true}``, Studiolo alone).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.child import serve
from bench.serving import Server


def answered(contestant: Server, request: Mapping[str, Any]) -> dict[str, object]:
    """Do what a line asks for."""
    if "streams" in request:
        contestant.ready(request["streams"], request["tokens"])
        return {}
    if "prompts" in request:
        start = time.perf_counter()
        made = contestant.together(request["prompts"], request["count"])
        return {"seconds": time.perf_counter() - start, "made": made}
    if "long" in request:
        beside = (request["long"], request["short"], request["after"])
        return {"seconds": contestant.overtaking(*beside)}
    from bench.contestants.studiolo_serving import StudioloServer

    if not isinstance(contestant, StudioloServer):
        return {"limits": None}
    limits = contestant.limits()
    return {"limits": None if limits is None else asdict(limits)}


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), answered)
