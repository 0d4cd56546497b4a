"""What every command says the same way: JSON for scripts, text safe for a terminal.

Results go to standard output and nothing else does; progress, notes and errors go to
standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print JSON and nothing else.", rich_help_panel="Output")
]

# C0 and C1 controls but tab and newline, and DEL: a model, or a file's metadata, must
# not be able to move the cursor or retitle the window of whoever reads it.
_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
}


def print_json(value: object) -> None:
    """Print one JSON document, as UTF-8 text wherever standard output can carry it."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    print(json.dumps(value, ensure_ascii=encoding != "utf8", indent=2, allow_nan=False))


def for_terminal(text: str, *, error: bool = False) -> str:
    """``text`` with its control characters spelled out, if it goes to a terminal.

    It goes to standard output, or with ``error`` to standard error.
    """
    stream = sys.stderr if error else sys.stdout
    return text.translate(_CONTROLS) if stream.isatty() else text


def note(message: str) -> None:
    """Print one line on standard error."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def progress_bar(what: str, total: int, *, at_once: int) -> Iterator[Callable[[int], None]]:
    """A callback for how many are done: a bar on standard error, if that is a terminal.

    There is none for work of at most ``at_once``, which is done in one go.
    """
    if total <= at_once or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def size(count: float) -> str:
    """Bytes as people read them, in powers of ten as disks are sold: ``98.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.3g} TB"
