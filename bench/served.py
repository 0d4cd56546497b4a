"""A server in a process of its own, which says its address in its first line, and how big it is.

It has a session of its own, so that Ctrl-C reaches the bench alone, which then ends it. Knows
nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.process import ROOT, ContestantError

PATIENCE = 600.0
"""Seconds that a server may take to be ready."""


def studiolo(model: str, records: Path, *options: str) -> list[str]:
    """The command that serves ``model``, its records in a file."""
    code = "from studiolo.cli import main; main()"
    port = ("--port", "0", "--records", str(records), "--model", model)
    return [sys.executable, "-c", code, "serve", *port, *options]


def llama_cpp(model: str, threads: int, slots: int, context: int) -> list[str]:
    """The command that serves ``model``, a GGUF file, with llama.cpp."""
    numbers = map(str, (threads, slots, context))
    return [sys.executable, "-m", "bench.llama_cpp_http", model, *numbers]


class Served:
    """The running server; a context manager. ``address``: host and port."""

    def __init__(self, command: Sequence[str], threads: int) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.PIPE,
            bufsize=0,  # a second line that was read ahead would never be waited for again
            stderr=self._errors,
            start_new_session=True,
        )
        try:
            url = self._said().split()[-1].removeprefix("http://")
            host, _, port = url.rpartition(":")
            self.address = host, int(port)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def resident(self) -> int:
        """Bytes of memory that it has now (Linux), 0 where that is not known or it has ended."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0

    def stop(self, patience: float = 60.0) -> int | None:
        """Ask it to end, as an operator does; its exit code, or None if it does not."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return None

    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        return " | ".join(self._errors.read().decode(errors="replace").strip().splitlines()[-3:])

    def _said(self) -> str:
        """The line with the address; libraries may say other things before."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while selector.select(PATIENCE):
                line = self._process.stdout.readline().decode(errors="replace")
                if "http://" in line:
                    return line
                if not line:
                    self._process.wait()
                    raise ContestantError(f"the server ended: {self.last_words()}")
        raise ContestantError(f"the server was not ready after {PATIENCE:.0f} s")

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
