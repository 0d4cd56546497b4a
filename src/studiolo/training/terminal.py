"""A run seen in the terminal: one live view, or where there is no terminal a line now and then.

Written to standard error. Model FLOPs utilisation is what the run does beside what a plain large
product of matrices reaches on the same GPU; on a CPU, whose clock follows its load, it is left
out. Knows runs; does not change them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from studiolo.training.loop import Course
from studiolo.training.run import Run

REFRESH = 0.25
_CONTROLS = dict.fromkeys((*range(0x20), 0x7F, *range(0x80, 0xA0)), " ")


class View:
    """What is known so far; ``live`` is None where there is no terminal."""

    def __init__(self, run: Run, console: Console, live: Live | None) -> None:
        self._run, self._console, self._live = run, console, live
        self._peak = peak_flops(run.device)
        self._validation: list[tuple[int, float]] = []
        self._sample = ""
        self._drawn = 0.0

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        """As :meth:`Watcher.step`."""
        now = time.monotonic()
        if self._live is not None and now - self._drawn > REFRESH:
            self._drawn = now
            self._live.update(self.drawn(course, norm, rate), refresh=True)

    def evaluated(self, course: Course, validation: float) -> None:
        """As :meth:`Watcher.evaluated`."""
        self._validation.append((course.step, validation))
        if self._live is None:
            speed = course.tokens / course.seconds
            self._console.print(
                f"step {course.step:,} of {self._run.plan.steps:,}: loss {course.loss:.4f}, "
                f"validation {validation:.4f}, {speed:,.0f} tokens/s"
            )

    def wrote(self, step: int, text: str) -> None:
        """What the model wrote after an evaluation."""
        self._sample = text.translate(_CONTROLS)

    def drawn(self, course: Course, norm: float, rate: float) -> Group:
        """The view of this moment."""
        plan = self._run.plan
        speed = course.tokens / course.seconds
        left = (plan.steps - course.step) * course.seconds / course.step
        used = speed * plan.flops_per_token / self._peak if self._peak else None
        validation = self._validation[-1][1] if self._validation else None
        table = Table.grid(padding=(0, 2))
        for name, value in (
            ("step", f"{course.step:,} of {plan.steps:,}"),
            ("loss", f"{course.loss:.4f}"),
            ("validation", "–" if validation is None else f"{validation:.4f}"),
            ("gradient", f"{norm:.3f}, rate × {rate:.3f}"),
            ("speed", f"{speed:,.0f} tokens/s"),
            ("FLOPs utilisation", "–" if used is None else f"{used:.0%}"),
            ("left", f"{left // 60:.0f}:{left % 60:02.0f}"),
            ("memory", f"{memory(self._run.device) / 1e9:.2f} GB"),
        ):
            table.add_row(Text(name, style="dim"), value)
        bar = ProgressBar(total=plan.steps, completed=course.step, width=40)
        return Group(bar, table, Text(self._sample[-200:], style="italic", overflow="ellipsis"))


@contextmanager
def watching(run: Run) -> Iterator[View]:
    """A view on standard error; first what the recipe came to."""
    console = Console(stderr=True, highlight=False)
    for name, value, derived in run.plan.lines():
        console.print(f"{name} = {value}{'  (derived)' if derived else ''}", style="dim")
    console.print(
        f"{run.plan.config.parameters:,} parameters, {run.objective.size:,} tokens, of which "
        f"{run.held_out:.1%} are held out, on {run.device.type}"
    )
    if run.parts.remark:
        console.print(run.parts.remark, style="yellow")
    if not sys.stderr.isatty():
        yield View(run, console, None)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield View(run, console, live)


def peak_flops(device: torch.device) -> float | None:
    """Floating-point operations a second, measured, of a large bfloat16 product; CPU: None."""
    if device.type != "cuda":
        return None
    size, times = 8_192, 8
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    for _ in range(2):
        a @ a
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        a @ a
    torch.cuda.synchronize()
    return 2 * size**3 * times / (time.perf_counter() - began)


def memory(device: torch.device) -> int:
    """Bytes: the most that the GPU has held, or what the process holds in RAM (0 if unknown)."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    import resource

    return int(statm.read_text().split()[1]) * resource.getpagesize()
