"""How far the machine's limits are: bytes read a second, and integer products a second.

Measured in the process of the contestant, right after it: a small C++ file is compiled with the
very header of the instruction that the packed product uses (``native/lanes_*.h``), and two loops
of it are run by as many threads. Best of several times, since a limit is the best that there is.
x86 and a C++ compiler only; else there are no limits to show.
"""

from __future__ import annotations

import ctypes
import mmap
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from studiolo.nn.native import Native, library
from studiolo.nn.packed_decoder import PackedDecoder
from studiolo.nn.tape import Kind

HERE = Path(__file__).resolve().parent
FLAGS = {
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni"],
}
TIMES = 5
VECTORS = 1 << 24
"""Instructions, in twelves, that a thread is timed over."""


@dataclass(frozen=True)
class Limits:
    """``bandwidth``: bytes/s over as many bytes as one token's weights have, again and again;
    ``memory``: over a gigabyte; ``products``: multiply-adds/s. Of the model: ``weight_bytes`` of
    packed matrices that a written token takes, and ``read_products``, the multiply-adds that a
    token takes that is only read, without its scores."""

    level: str
    bandwidth: float
    memory: float
    products: float
    weight_bytes: int
    read_products: int


@dataclass(frozen=True)
class Shares:
    """Of the limits, 0 to 1: of the bandwidth at one stream, of the products in reading."""

    bandwidth: float
    products: float

    @classmethod
    def of(cls, limits: Limits, one_stream: float, reading: float) -> Shares:
        """``one_stream``: tokens/s that are written; ``reading``: tokens/s of a long prompt."""
        return cls(
            one_stream * limits.weight_bytes / limits.bandwidth,
            reading * limits.read_products / limits.products,
        )


def weights(network: PackedDecoder) -> tuple[int, int]:
    """Bytes of packed matrices for a written token, and multiply-adds for one that is read."""
    size, products = 0, 0
    lib = library()
    for op in network.tape.ops:
        if op.kind is not Kind.LINEAR or lib is None:
            continue
        matrix = op.matrix
        assert isinstance(matrix, ctypes.Structure)
        size += int(lib.studiolo_packed_size(ctypes.byref(matrix)))
        products += 0 if op.wanted else matrix.n * matrix.k
    return size, products


def measure(network: object) -> Limits | None:
    """The limits for a network that the compiled library plays, or None."""
    if not isinstance(network, PackedDecoder) or not isinstance(network.player, Native):
        return None
    level, threads = network.player.level, network.player.threads
    size, products = weights(network)
    with tempfile.TemporaryDirectory(prefix="studiolo-limits-") as folder:
        lib = compiled(level, Path(folder))
        if lib is None:
            return None
        return Limits(
            level=level,
            bandwidth=bandwidth(lib, size, threads),
            memory=bandwidth(lib, 1 << 30, threads),
            products=multiplied(lib, threads),
            weight_bytes=size,
            read_products=products,
        )


def compiled(level: str, folder: Path) -> ctypes.CDLL | None:
    """The two loops for one level; None without a compiler, or for a level of another kind."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None or level not in FLAGS:
        return None
    target = folder / "liblimits.so"
    done = subprocess.run(
        [
            *(compiler, "-std=c++17", "-O3", "-shared", "-fPIC", "-Wno-psabi", *FLAGS[level]),
            *(f'-DLANES="lanes_{level}.h"', "-I", str(HERE.parent / "native")),
            *(str(HERE / "limits.cpp"), "-o", str(target)),
        ],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return None
    lib = ctypes.CDLL(str(target))
    lib.read_all.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    lib.multiply_all.argtypes = [ctypes.c_int64]
    return lib


def bandwidth(lib: ctypes.CDLL, size: int, threads: int) -> float:
    """Bytes a second that ``threads`` read, each its part of ``size`` bytes in huge pages."""
    vector = 2 * int(lib.multiply_all(0))
    part = size // threads // (8 * vector) * 8 * vector
    memory = mmap.mmap(-1, max(threads * part, mmap.PAGESIZE))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    view = (ctypes.c_char * len(memory)).from_buffer(memory)
    base = ctypes.addressof(view)
    ctypes.memset(base, 1, len(memory))  # pages nobody wrote to are all the same one

    def read(thread: int) -> None:
        lib.read_all(base + thread * part, part // vector)

    seconds = best(read, threads, TIMES * max(1, (1 << 28) // max(size, 1)))
    del view
    memory.close()
    return threads * part / seconds


def multiplied(lib: ctypes.CDLL, threads: int) -> float:
    """Multiply-adds a second that ``threads`` do in registers."""
    each = int(lib.multiply_all(0))

    def multiply(thread: int) -> None:
        lib.multiply_all(VECTORS)

    return threads * VECTORS * 12 * each / best(multiply, threads, TIMES)


def best(work: Callable[[int], None], threads: int, times: int) -> float:
    """The fewest seconds that ``threads`` took together for one ``work`` each."""
    fewest = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
        for _ in range(times):
            start = time.perf_counter()
            list(pool.map(work, range(threads)))
            fewest = min(fewest, time.perf_counter() - start)
    return fewest
