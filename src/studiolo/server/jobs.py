"""The batches of a server: one worker, on a thread of its own, carries them out one by one.

The records say which batches there are and whose turn it is; a worker holds a lease on the one that
it works on. Every step asks the records what is to be done next and says in the same breath what it
expects, so that of two servers on one database one goes on, and a server that was killed is
followed by any other, or by itself. Results go to a journal before they count
(:mod:`studiolo.task.batch`), so that no line is lost, or answered twice in the output.

A batch that cannot be carried out fails and says why; what may be better later is tried again.
Between batches the worker deletes contents and files whose time is over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    MalformedFileError,
    PermissionDeniedError,
    RecordsError,
    RequestCancelledError,
    StudioloError,
)
from studiolo.record.batches import LEASE, Batch, Status
from studiolo.record.grant import Key
from studiolo.record.records import Records
from studiolo.server.claims import INPUT, RESULTS, Claims, clear, take_in
from studiolo.server.limits import Limiter
from studiolo.server.lines import Lines
from studiolo.server.results import publish, split
from studiolo.server.settings import Settings
from studiolo.task.batch import Batch as Work
from studiolo.task.batch import Job, Line
from studiolo.task.house import House

POLL = 2.0
"""Seconds between two looks for what another server may have left."""
BEAT = 2.0
"""Seconds between two signs of life."""
SWEEP = 600.0
"""Seconds between two looks for contents and files whose time is over."""
WINDOW = 32
"""Lines under way at once: some places are always left for those who wait."""
MAX_LINES = 50_000
MAX_ERRORS = 10
"""Wrong lines that a batch which fails tells of."""
MAX_TOLD = 1900
"""Characters of what the records keep of why a batch failed."""
TRIES = 3
"""How often a batch is begun anew by one process after something went wrong inside."""
log = logging.getLogger("studiolo.server")


class Jobs:
    """Carries out batches from :meth:`start` to :meth:`close`.

    ``others()``: how many requests are under way, which go before.
    """

    def __init__(
        self,
        settings: Settings,
        house: House,
        records: Records,
        limiter: Limiter,
        others: Callable[[], int],
    ) -> None:
        self._settings, self._records = settings, records
        self._lines = Lines(settings, house, records, limiter, others)
        self._claims = Claims()
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(8)}"
        self._tries: Counter[str] = Counter()
        self._closing = False
        self._swept = -SWEEP
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._news = asyncio.Event()

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name="studiolo-batches", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to do; harmless before the start and after the end."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._news.set)

    def close(self) -> None:
        """Leave what is being worked on to whoever comes next; returns when that is done."""
        self._closing = True
        self.wake()
        if self._thread is not None:
            self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not self._closing:
            self._news.clear()
            try:
                busy = await self._look()
            except Exception as error:  # of the records, most likely; they may come back
                _log_failure("batches cannot be looked for", error)
                busy = False
            if not busy and not self._closing:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), POLL)

    async def _look(self) -> bool:
        """Work on a batch, if there is one; whether to look again at once."""
        if time.monotonic() - self._swept >= SWEEP:
            self._swept = time.monotonic()
            self._records.contents.sweep(time.time())
            self._records.uploads.sweep(time.time())
        self._claims.release(self._records.batches)
        batch = self._records.batches.claim(self._name)
        if batch is None:
            return False
        try:
            with self._claims.hold(batch.id, self._name) as folder:
                return await self._attend(batch, folder)
        finally:
            self._records.batches.leave(batch.id, self._name)

    async def _attend(self, batch: Batch, folder: Path) -> bool:
        """Carry out a batch, or fail it; false if it is to be tried again in a while."""
        try:
            await self._carry_out(batch, folder)
        except (RequestCancelledError, RecordsError, BusyError) as error:
            _log_failure(f"{batch.id} is left for later", error)
            return False
        except (InvalidRequestError, MalformedFileError, PermissionDeniedError) as error:
            field = getattr(error, "field", None)
            self._fail(batch, folder, [_told(type(error).__name__, error.message, param=field)])
        except Exception as error:
            _log_failure(f"{batch.id} went wrong", error)
            self._tries[batch.id] += 1
            if self._tries[batch.id] < TRIES:
                return False
            kind = type(error).__name__
            message = f"something went wrong inside Studiolo, {TRIES} times ({kind})"
            self._fail(batch, folder, [_told(kind, message)])
        return True

    async def _carry_out(self, batch: Batch, folder: Path) -> None:
        """Do whatever its status asks for, as long as the batch is this worker's."""
        while not self._closing:
            now = self._records.batches.renew(batch.id, self._name)
            if now is None:
                return
            if now.status == "finalizing":
                self._finish(now, folder, "completed")
            elif now.status == "cancelling":
                self._finish(now, folder, "cancelled")
            elif time.time() >= now.expires:
                self._finish(now, folder, "expired")
            elif now.status == "validating":
                self._validate(now, folder)
            else:
                await self._answer(now, folder)

    def _validate(self, batch: Batch, folder: Path) -> None:
        """Begin with a batch whose lines are all requests; fail any other."""
        self._key(batch)
        wrong: list[dict[str, Any]] = []
        with self._open(batch, folder) as work:
            count = work.tally.lines
            if not count:
                wrong.append(_told("empty_file", "the file holds no request"))
            if count > MAX_LINES:
                message = f"the file holds {count:,} requests, and {MAX_LINES:,} are allowed"
                wrong.append(_told("too_many_requests", message))
            for line in work.lines():
                error = line.error
                if error is None and line.url != batch.endpoint:
                    message = f"line {line.number:,}: url must be that of the batch"
                    error = {"code": "mismatched_url", "message": message}
                if error is not None and len(wrong) < MAX_ERRORS:
                    wrong.append(_told(error["code"], error["message"], line=line.number))
        if wrong:
            self._fail(batch, folder, wrong)
        else:
            self._records.batches.renew(batch.id, self._name, total=count)
            self._records.batches.move(batch.id, self._name, "in_progress")

    async def _answer(self, batch: Batch, folder: Path) -> None:
        """Answer lines until all are answered, or the batch is to go another way."""
        key = self._key(batch)
        with self._open(batch, folder) as work:
            running = asyncio.create_task(work.run(partial(self._lines.answer, key), window=WINDOW))
            try:
                await self._watch(batch, work, running)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled():
            running.result()
            self._records.batches.move(batch.id, self._name, "finalizing")

    async def _watch(self, batch: Batch, work: Work, running: asyncio.Task[None]) -> None:
        """Give signs of life until ``running`` is done, or is to be stopped."""
        alive = time.monotonic()
        while not running.done() and not self._closing:
            news = asyncio.create_task(self._news.wait())
            await asyncio.wait((running, news), timeout=BEAT, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            self._news.clear()
            tally = work.tally
            try:
                now = self._records.batches.renew(
                    batch.id,
                    self._name,
                    completed=tally.done - tally.failed,
                    failed=tally.failed,
                )
                self._key(batch)
            except (RecordsError, BusyError):
                if time.monotonic() - alive > LEASE:
                    raise
                continue
            alive = time.monotonic()
            if now is None or now.status != "in_progress" or time.time() >= now.expires:
                return

    def _finish(self, batch: Batch, folder: Path, to: Status) -> None:
        """Publish what there is, and bring the batch to its end."""
        unanswered: list[Line] = []
        if to == "expired":
            with self._open(batch, folder) as work:
                unanswered = [replace(line, body=None) for line in work.lines()]
        good, bad = split(folder / RESULTS, unanswered)
        files = publish(self._records.uploads, batch, good, bad)
        batches = self._records.batches
        batches.renew(batch.id, self._name, completed=len(good), failed=len(bad))
        if batches.move(batch.id, self._name, to, **files):
            clear(folder)

    def _fail(self, batch: Batch, folder: Path, errors: list[dict[str, Any]]) -> None:
        """Bring a batch to its end that cannot be carried out."""
        while len(told := json.dumps(errors)) > MAX_TOLD:
            errors = errors[:-1] if len(errors) > 1 else [{**errors[0], "message": "too long"}]
        batches = self._records.batches
        if batches.move(batch.id, self._name, "failed", error=told) or batches.move(
            batch.id, self._name, "cancelled", error=told
        ):
            clear(folder)

    def _open(self, batch: Batch, folder: Path) -> Work:
        """The work on a batch, new or begun before, with the models it was begun with."""
        if not (folder / INPUT).exists():
            upload = self._records.uploads.find(batch.input_file, batch.key)
            if upload is None:
                raise InvalidRequestError("input_file_id", f"{batch.input_file} is gone")
            take_in(self._records.uploads.path(upload), folder)
        model, encoder = self._settings.model, self._settings.encoder
        if (job := folder / f"{RESULTS}.job").exists():
            begun = Job.model_validate_json(job.read_bytes())
            model, encoder = begun.model, begun.encoder
        return Work(
            folder / INPUT, folder / RESULTS, model=model, encoder=encoder, salt=f"{batch.id} "
        )

    def _key(self, batch: Batch) -> Key | None:
        """The key that a batch is of; raises :class:`PermissionDeniedError` if it has ended."""
        if batch.key is None:
            return None
        for key in self._records.keys.list():
            if key.id == batch.key and key.usable(time.time()):
                return key
        raise PermissionDeniedError(f"the key {batch.key} was revoked, or is past its time")


def _told(
    code: str, message: str, *, line: int | None = None, param: str | None = None
) -> dict[str, Any]:
    return {"code": code, "message": message[:200], "line": line, "param": param}


def _log_failure(what: str, error: Exception) -> None:
    """Without the words of an error that is not ours: they may be a prompt's."""
    said = error.message if isinstance(error, StudioloError) else type(error).__name__
    log.warning("%s: %s", what, said)
