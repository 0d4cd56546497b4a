"""The parent's end of the line protocol: start a contestant, ask it, end it.

Each contestant has a session of its own, so that Ctrl-C reaches the bench alone, which
then ends the contestant. Knows nothing of models and of what is measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent


class ContestantError(Exception):
    """A contestant died, hung, or did not do what was asked."""


class Process:
    """A running contestant; a context manager. ``seconds_to_ready`` counts from its start.

    ``child``: the module that loads the contestant and answers, as :mod:`bench.child` does.
    """

    def __init__(
        self,
        module: str,
        model: str,
        threads: int,
        patience: float = 600.0,
        child: str = "bench.child",
    ) -> None:
        self._patience = patience
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
        counts = dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)
        )
        offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        start = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", child, module, model, str(threads)],
            cwd=ROOT,
            env=os.environ | counts | offline,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        try:
            self.version = str(self._hear()["ready"])
        except BaseException:
            self._end()
            raise
        self.seconds_to_ready = time.perf_counter() - start

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def ask(self, prompt: list[int], count: int, *, timed: bool) -> dict[str, Any]:
        """Send one request and wait for its answer; raises :class:`ContestantError`."""
        return self.send({"prompt": prompt, "count": count, "timed": timed})

    def send(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Send any request and wait for its answer; raises :class:`ContestantError`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure("ended") from None
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(self._patience):
                raise self._failure(f"said nothing for {self._patience:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._failure("ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure(self, what: str) -> ContestantError:
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-3:]
        return ContestantError(f"it {what}: " + " | ".join(last))

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._errors.close()
