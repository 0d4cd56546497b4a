"""Facts about the machine, read from the system itself.

Knows nothing of models. What cannot be found out here is None or empty, never a guess.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

# Instruction sets that decide how fast matrices multiply on a CPU, as /proc/cpuinfo names them.
TELLING_FLAGS = (
    "avx2", "f16c", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_int8",
    "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip


def cpu_name() -> str:
    """The processor's own name, or the architecture's."""
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_flags() -> tuple[str, ...]:
    """Those of :data:`TELLING_FLAGS` that the processor has; empty where nothing says."""
    for line in _lines(Path("/proc/cpuinfo")):
        if line.lower().startswith(("flags", "features")):
            present = set(line.partition(":")[2].split())
            return tuple(flag for flag in TELLING_FLAGS if flag in present)
    return ()


def usable_cores() -> int:
    """Logical cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Memory that this process may use: the machine's, or its container's limit if lower."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    limit = next(iter(_lines(Path("/sys/fs/cgroup/memory.max"))), "max").strip()
    return min(physical, int(limit)) if limit.isdigit() else physical


def free_bytes(path: Path) -> int:
    """Free space on the disk that holds, or would hold, ``path``."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
