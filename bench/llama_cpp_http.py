"""llama.cpp's server over HTTP, through xllamacpp: ``MODEL THREADS SLOTS CONTEXT``.

Says its address when it is ready, and serves until it is killed. Each slot has ``CONTEXT`` tokens.
"""

from __future__ import annotations

import signal
import sys
from typing import Any


def main(model: str, threads: int, slots: int, context: int) -> None:
    """Serve ``model``."""
    import xllamacpp

    params: Any = xllamacpp.CommonParams()
    params.model.path = model
    params.n_parallel, params.n_ctx = slots, slots * context
    params.kv_unified = False
    params.cache_ram_mib = 0
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.port = 0
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(f"llama.cpp {xllamacpp.__version__} is ready at {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
