"""How a command ends when it does not end well: one clean message, never a traceback.

Our own errors say themselves what is wrong and what to do. Anything else is a fault of
Studiolo: a short apology, with the traceback in a file that a report can carry.
``STUDIOLO_DEBUG=1`` shows tracebacks instead.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from studiolo.errors import StudioloError

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

INTERNAL = 70
"""EX_SOFTWARE of sysexits.h."""


def say_error(message: str, remedy: str | None = None) -> None:
    """Print ``error: message`` on standard error, red where it is a terminal, then the remedy."""
    from rich.console import Console
    from rich.text import Text

    from studiolo.cli.output import for_terminal

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    shown = for_terminal(message, error=True)
    console.print(Text.assemble(("error: ", "bold red"), shown))
    if remedy:
        console.print(Text(for_terminal(remedy, error=True)))


def _apologise(error: Exception) -> None:
    with tempfile.NamedTemporaryFile(
        "w", prefix="studiolo-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        traceback.print_exception(error, file=log)
    say_error(
        f"something went wrong inside Studiolo ({type(error).__name__}: {error})",
        f"That is a fault of ours, sorry. The traceback is in {log.name}; "
        "STUDIOLO_DEBUG=1 shows it here.",
    )


def _drop_output() -> None:
    """Let the interpreter's last flush go nowhere, so that it has nothing to complain of."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def leaving_cleanly() -> Iterator[None]:
    """Turn whatever is raised inside into a message and an exit code.

    Where a shell has closed standard output or error (``>&-``), what would be written is lost.
    """
    # Python leaves None there, which print() accepts and nothing else does.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    # A terminal or a pipe may be narrower than Unicode; a `?` is better than no text.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    debug = os.environ.get("STUDIOLO_DEBUG", "") not in ("", "0")
    try:
        yield
    except SystemExit as leaving:
        # typer has caught the KeyboardInterrupt; the line is still ours to end.
        if leaving.code == INTERRUPTED:
            print("\ninterrupted", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has left.
        _drop_output()
        sys.exit(1)
    except StudioloError as error:
        if debug:
            raise
        say_error(error.message, error.remedy)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _drop_output()
            say_error(f"the disk is full: {error}", "Make room, or write to another disk.")
            sys.exit(1)
        _apologise(error)
        sys.exit(INTERNAL)
