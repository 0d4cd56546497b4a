"""A job of many requests: lines in, lines out, and no line lost or repeated by a kill.

The lines are those of OpenAI's Batch API. Results are appended as they come, in any order, and
forced to the disk in groups. Beside them lies ``OUT.job``, which says which input they answer:
begun again, a job goes on after what is there, and refuses an input that has changed.

Notable choices. *A result is known by its line's number*, in ``id``, so that a line whose
``custom_id`` is missing or taken has its one result too. *Nothing depends on when a line was
answered*: a request without a seed draws with one made of its ``custom_id``, and ``created`` is
the job's. *A line that is wrong is answered with an error*; only what would befall every line
ends the job.

Does not know how a request is answered, nor where: that is handed in.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from studiolo.bundle.manifest import Frozen, Sha256
from studiolo.bundle.store import home
from studiolo.errors import BusyError, InvalidRequestError, MalformedFileError
from studiolo.record.journal import Journal, replace_file
from studiolo.task.openai import EMBEDDINGS, URLS, Url

MAX_LINE = 16 << 20
"""Bytes; a longer line is answered with an error."""
WINDOW = 192
"""Lines being answered at once by one process: some wait, so that no place stays empty."""
FIELDS = ("custom_id", "method", "url", "body")


class Answer(Protocol):
    """Whoever answers: :meth:`studiolo.task.answering.Answerer.answer`, or a cluster's."""

    def __call__(
        self, url: Url, body: Mapping[str, Any], *, id: str, seed: int, created: int
    ) -> Awaitable[tuple[int, dict[str, Any]]]:
        """Status and body of the answer; to raise is to end the job."""


class Job(Frozen):
    """The content of ``OUT.job``. ``created``: Unix seconds."""

    format: int = Field(1, ge=1, le=1)
    input: Sha256
    model: str
    encoder: str
    created: int


@dataclass
class Tally:
    """How far a job is: lines, and the tokens of this run, in ``seconds``."""

    lines: int
    done: int = 0
    failed: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Line:
    """One line, read. ``error``: what is wrong with it, as ``code`` and ``message``."""

    number: int
    custom_id: str | None
    url: Url | None = None
    body: Mapping[str, Any] | None = None
    error: Mapping[str, str] | None = None


class Batch:
    """A job that is open; close it, or use it in a ``with``.

    ``wanted``: which of ``model`` and ``encoder`` are for lines that name no model. ``salt``: what
    tells the requests of one job from those of another with the same names.
    """

    def __init__(
        self, source: Path, output: Path, *, model: str, encoder: str, salt: str = ""
    ) -> None:
        """Open the job, new or begun before.

        Raises :class:`InvalidRequestError` for files that cannot be read or written, an output
        that is no job's, and a job of another input or other models; :class:`BusyError`
        if another process is at it.
        """
        self._source, self._output, self._salt = source, output, salt
        with ExitStack() as held:
            held.callback(_locked(output).release)
            digest, count, urls = _surveyed(source)
            self.wanted = {encoder if url == EMBEDDINGS else model for url in urls}
            self.job = self._begun(digest, model, encoder)
            self._journal = held.enter_context(Journal(output))
            self._done: set[int] = set()
            self.tally = Tally(count)
            for line in self._journal.lines():
                number, failed = self._result(line)
                self._done.add(number)
                self.tally.failed += failed
            self.tally.done = len(self._done)
            self._held = held.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the files back."""
        self._held.close()

    async def run(
        self,
        answer: Answer,
        *,
        window: int = WINDOW,
        report: Callable[[Tally], None] = lambda tally: None,
    ) -> None:
        """Answer every line that has no result yet, ``window`` of them at once.

        Raises :class:`InvalidRequestError` if the input is changed meanwhile, and what ``answer``
        does.
        """
        started = time.monotonic()
        pending: set[asyncio.Task[tuple[dict[str, Any], int]]] = set()

        def keep(finished: set[asyncio.Task[tuple[dict[str, Any], int]]]) -> None:
            results = [task.result() for task in finished]
            self._journal.append([_spelled(result) for result, _ in results])
            for result, tokens in results:
                self.tally.done += 1
                self.tally.failed += _failed(result)
                self.tally.tokens += tokens
            self.tally.seconds = time.monotonic() - started
            report(self.tally)

        report(self.tally)
        try:
            for line in self.lines():
                if line.number in self._done:
                    continue
                while len(pending) >= window:
                    finished, pending = await asyncio.wait(
                        pending, return_when=asyncio.FIRST_COMPLETED
                    )
                    keep(finished)
                pending.add(asyncio.create_task(self._answered(answer, line)))
            while pending:
                finished, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                keep(finished)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _answered(self, answer: Answer, line: Line) -> tuple[dict[str, Any], int]:
        """The result of a line, and how many tokens it took."""
        result: dict[str, Any] = {"id": f"batch_req_{line.number}", "custom_id": line.custom_id}
        if line.url is None or line.body is None:
            return {**result, "response": None, "error": line.error}, 0
        id, seed = (_digest(f"{salt}{line.custom_id}") for salt in (self._salt, ""))
        status, body = await answer(
            line.url,
            line.body,
            id=id[:24],
            seed=int(seed[:8], 16),
            created=self.job.created,
        )
        tokens = body["usage"]["total_tokens"] if status == 200 else 0
        response = {"status_code": status, "request_id": f"req_{id[:24]}", "body": body}
        return {**result, "response": response, "error": None}, tokens

    def lines(self) -> Iterator[Line]:
        """Every line but empty ones.

        Raises :class:`InvalidRequestError` in the end if the input is not what it was.
        """
        seen: set[str] = set()
        digest = hashlib.sha256()
        with _opened(self._source) as file:
            for number, data in _raw_lines(file, digest.update):
                line = read_line(number, data)
                name = line.custom_id
                if name is not None and name in seen:
                    message = f"custom_id {name!r:.80} stands in a line before"
                    line = _wrong(number, None, "duplicate_custom_id", message)
                elif name is not None:
                    seen.add(name)
                yield line
        if digest.hexdigest() != self.job.input:
            raise InvalidRequestError(
                "input", f"{self._source} was changed while it was read", remedy=ANEW
            )

    def _begun(self, digest: str, model: str, encoder: str) -> Job:
        """The job that ``OUT.job`` tells of, or a new one, which it then tells of."""
        path = self._output.with_name(f"{self._output.name}.job")
        held = self._output.stat().st_size if self._output.is_file() else 0
        try:
            before = Job.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            if held:
                raise InvalidRequestError(
                    "output", f"{self._output} is there, and is no job's output", remedy=ANEW
                ) from None
            before = None
        except (OSError, ValidationError):
            raise MalformedFileError(f"{path} is damaged", remedy=ANEW) from None
        if before is not None and held:
            if before.input != digest:
                raise InvalidRequestError(
                    "input",
                    f"{self._source} is not what {self._output} was begun with: it has changed, "
                    "or is another file",
                    remedy=ANEW,
                )
            for field, now in (("model", model), ("encoder", encoder)):
                if getattr(before, field) != now:
                    raise InvalidRequestError(
                        field,
                        f"{self._output} was begun with {getattr(before, field)!r}, not {now!r}",
                        remedy=ANEW,
                    )
            return before
        job = Job(input=digest, model=model, encoder=encoder, created=int(time.time()))
        try:
            replace_file(path, job.model_dump_json().encode() + b"\n")
        except OSError as error:
            why = f"{str(path)!r} cannot be written: {error.strerror}"
            raise InvalidRequestError("output", why) from None
        return job

    def _result(self, data: bytes) -> tuple[int, bool]:
        """Number of the line that a result is of, and whether it tells of an error."""
        try:
            result = json.loads(data)
            number, failed = int(result["id"].removeprefix("batch_req_")), _failed(result)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            number, failed = 0, False
        if number < 1 or number in self._done:
            raise MalformedFileError(
                f"{self._output} holds a line that this job did not write: {data[:60]!r}",
                remedy=ANEW,
            )
        return number, failed


ANEW = "Name another output, or remove this one and its .job to begin anew."


def read_line(number: int, data: bytes | None) -> Line:
    """What the line of that number says; ``data`` is None for one that is too long."""
    if data is None:
        return _wrong(number, None, "line_too_long", f"more than {MAX_LINE:,} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        return _wrong(number, None, "invalid_json", f"not JSON: {error!s:.200}")
    if not isinstance(value, dict):
        return _wrong(number, None, "invalid_line", "not a JSON object")
    custom_id = value.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        return _wrong(number, None, "invalid_line", "custom_id must be a text, and not empty")
    for name in value:
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            message = f"there is no field {name!r:.80}; there are {known}"
            return _wrong(number, custom_id, "unknown_field", message)
    if value.get("method") != "POST":
        return _wrong(number, custom_id, "invalid_line", "method must be POST")
    url, body = value.get("url"), value.get("body")
    if url not in URLS:
        message = f"url must be one of {', '.join(URLS)}, not {url!r:.80}"
        return _wrong(number, custom_id, "invalid_url", message)
    if not isinstance(body, dict):
        return _wrong(number, custom_id, "invalid_line", "body must be an object")
    return Line(number, custom_id, url, body)


def _wrong(number: int, custom_id: str | None, code: str, message: str) -> Line:
    return Line(number, custom_id, error={"code": code, "message": f"line {number:,}: {message}"})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _failed(result: Mapping[str, Any]) -> bool:
    return result["error"] is not None or result["response"]["status_code"] != 200


def _spelled(result: Mapping[str, Any]) -> bytes:
    return json.dumps(result, separators=(",", ":"), allow_nan=False).encode("ascii")


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        why = f"{str(path)!r} cannot be read: {error.strerror}"
        raise InvalidRequestError("input", why) from None


def _surveyed(path: Path) -> tuple[str, int, set[Url]]:
    """SHA-256 of the input, how many lines want a result, and what those without a model want."""
    digest, count, urls = hashlib.sha256(), 0, set[Url]()
    with _opened(path) as file:
        for number, data in _raw_lines(file, digest.update):
            count += 1
            line = read_line(number, data)
            if line.url is not None and line.body is not None and line.body.get("model") is None:
                urls.add(line.url)
    return digest.hexdigest(), count, urls


def _raw_lines(
    file: IO[bytes], see: Callable[[bytes], object]
) -> Iterator[tuple[int, bytes | None]]:
    """Number, from 1, and bytes of each line that is not blank; ``see`` is shown everything."""
    number = 0
    while data := file.readline(MAX_LINE + 1):
        number += 1
        see(data)
        whole = data.endswith(b"\n") or len(data) <= MAX_LINE
        rest = data
        while not rest.endswith(b"\n") and (rest := file.readline(MAX_LINE)):
            see(rest)
        if not whole:
            yield number, None
        elif data.strip():
            yield number, data


def _locked(output: Path) -> FileLock:
    name = hashlib.sha256(str(output.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    folder = home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"batch-{name[:32]}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"another process is writing {output}") from None
    return lock
