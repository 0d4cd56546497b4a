"""Files of strangers are taken apart in a process of their own, with bounded time and memory.

PDF, office files and the like are large languages, and a file may be made to keep its reader busy
for ever, or to fill the memory. So the reader is another process: it is given bytes and gives JSON,
and when it is killed for what it took, one file is not read and a new one reads the next. Text
formats are decoded here, where nothing can go on for long. The limits are those of Unix; elsewhere
there are none, and a file may take its time. This module run by ``python -m`` is that process.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from types import TracebackType
from typing import IO, Any, Self, cast

from studiolo.errors import MalformedFileError, MissingExtraError, StudioloError
from studiolo.retrieval.document import Extract, Heading
from studiolo.retrieval.ingest import EXTRACTED, extract

SECONDS = 120
"""For one file."""
MEMORY = 4 << 30
"""Bytes of address space."""
_OURS = "files that are no text"


class Apart:
    """Reads in another process, which is started when it is needed; use it in a ``with``."""

    def __init__(self, seconds: int = SECONDS, memory: int = MEMORY) -> None:
        self._limits = (str(seconds), str(memory))
        self._child: subprocess.Popen[bytes] | None = None

    def extract(self, kind: str, data: bytes) -> Extract:
        """As :func:`~studiolo.retrieval.ingest.extract`.

        Raises :class:`MalformedFileError` also for a file that takes too much time or memory.
        """
        if kind not in EXTRACTED:
            return extract(kind, data)
        child = self._started()
        stdin, stdout = cast(IO[bytes], child.stdin), cast(IO[bytes], child.stdout)
        try:
            stdin.write(json.dumps([kind, len(data)]).encode() + b"\n" + data)
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            raise self._died(child)
        said: dict[str, Any] = json.loads(line)
        if "missing" in said:
            raise MissingExtraError(_OURS, said["missing"])
        if "error" in said:
            raise MalformedFileError(said["error"], remedy=said["remedy"])
        headings = tuple(Heading(*each) for each in said["headings"])
        return Extract(said["text"], tuple(said["pages"]), headings)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            command = [sys.executable, "-P", "-m", "studiolo.retrieval.apart", *self._limits]
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the run, which then closes the pipe
            )
        return self._child

    def _died(self, child: subprocess.Popen[bytes]) -> StudioloError:
        self.close()
        if child.returncode == -getattr(signal, "SIGALRM", 0):
            return MalformedFileError(f"takes more than {self._limits[0]} seconds to be read")
        return MalformedFileError(
            f"its reader broke down (exit status {child.returncode}): it is damaged, or needs more "
            f"than {int(self._limits[1]):,} bytes of memory"
        )

    def close(self) -> None:
        """End the process, if there is one."""
        if self._child is not None:
            child, self._child = self._child, None
            if child.poll() is None:
                child.kill()
            child.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def serve(requests: IO[bytes], answers: IO[bytes], seconds: int) -> None:
    """Read one file after another until ``requests`` ends."""
    alarm = getattr(signal, "alarm", lambda seconds: 0)
    while line := requests.readline():
        kind, size = json.loads(line)
        data = requests.read(size)
        alarm(seconds)  # unhandled, it ends the process, whatever library is at work
        answer = json.dumps(_answer(kind, data)).encode()
        alarm(0)
        answers.write(answer + b"\n")
        answers.flush()


def _answer(kind: str, data: bytes) -> dict[str, Any]:
    try:
        found = extract(kind, data)
    except MalformedFileError as error:
        return {"error": error.message, "remedy": error.remedy}
    except MissingExtraError:
        return {"missing": "retrieval"}
    except (MemoryError, RecursionError) as error:
        return {"error": f"is too much for its reader ({type(error).__name__})", "remedy": None}
    headings = [[each.start, each.level, each.title] for each in found.headings]
    return {"text": found.text, "pages": found.pages, "headings": headings}


def _main(seconds: str, memory: str) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    except (ImportError, ValueError, OSError):
        pass  # where there is no such limit, or a lower one is set already
    serve(sys.stdin.buffer, sys.stdout.buffer, int(seconds))


if __name__ == "__main__":
    _main(*sys.argv[1:])
