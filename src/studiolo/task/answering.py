"""Answers to OpenAI-shaped requests, many at once, from models in this process.

All requests to all models go through one engine. A model that a request names must be on this
machine: nothing is fetched in the middle of a job. Does not know where requests come from.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import Bundle, find, installed
from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    RequestCancelledError,
    UnknownModelError,
)
from studiolo.family.autoregressive import TokenSample
from studiolo.family.encoder import EncodeRequest
from studiolo.runtime.engine import Engine
from studiolo.runtime.loop import Model
from studiolo.runtime.ticket import Ticket
from studiolo.task.embedding import EmbeddingModel
from studiolo.task.generation import Telling
from studiolo.task.load import checked_device
from studiolo.task.openai import (
    CHAT,
    EMBEDDINGS,
    Url,
    read_body,
    write_embeddings,
    write_error,
    write_text,
)
from studiolo.task.text import LanguageModel

Opened = LanguageModel | EmbeddingModel
PATIENCE = 0.02
"""Seconds until what found the queue full is tried again."""


class Answerer:
    """Answers; close it, or use it in a ``with``.

    ``model``, ``encoder``: for requests that name none, to make texts and vectors. The memory, in
    bytes, is what all models, and beside them all requests under way, may take.
    """

    def __init__(
        self,
        *,
        model: str,
        encoder: str,
        device: str = "auto",
        model_memory: int,
        request_memory: int,
    ) -> None:
        self._defaults = {EMBEDDINGS: encoder}
        self._model, self._device = model, checked_device(device)
        self._engine = Engine(model_memory=model_memory, request_memory=request_memory)
        self._opened: dict[str, Opened] = {}
        self._known: set[str] = set()
        self._lock = threading.Lock()

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
        """Finish the step that is being taken, and answer nothing more."""
        self._engine.close()

    async def answer(
        self, url: Url, body: Mapping[str, Any], *, id: str, seed: int, created: int
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer, also of one that tells of an error.

        ``seed``: for a request that has none. Raises :class:`RequestCancelledError` alone: there
        will be no more answers.
        """
        try:
            return 200, await self._answer(url, body, id, seed, created)
        except RequestCancelledError:
            raise
        except Exception as error:  # of this request, whatever it is
            return write_error(error)

    async def _answer(
        self, url: Url, body: Mapping[str, Any], id: str, seed: int, created: int
    ) -> dict[str, Any]:
        asked = read_body(url, body)
        name = asked.model or self._defaults.get(url, self._model)
        opened = self._opened.get(name)
        if opened is None:
            opened = await asyncio.to_thread(self._open, name)
        if isinstance(opened, EmbeddingModel):
            if url != EMBEDDINGS:
                raise _wrong(opened, "makes vectors, not texts")
            sequences = opened.encode(asked.subject)
            vectors = await self._all(
                [partial(self._engine.submit, name, EncodeRequest(ids)) for ids in sequences]
            )
            encoding = asked.options.get("encoding_format", "float")
            count = sum(map(len, sequences))
            return write_embeddings(vectors, count, encoding=encoding, model=opened.name)
        if url == EMBEDDINGS:
            raise _wrong(opened, "makes texts, not vectors")
        options = {"seed": seed, **asked.options}
        subject = asked.subject
        if url == CHAT:
            subject = opened.encode_chat(subject)
        telling = opened.prepare(subject, **options)
        samples: list[TokenSample] = await self._all(
            [
                partial(
                    self._engine.submit,
                    name,
                    telling.request,
                    seed=each,
                    watch=partial(_hear, telling, i) if telling.asked.stop else None,
                )
                for i, each in enumerate(telling.seeds)
            ]
        )
        made = telling.whole(samples, None, 0.0)
        return write_text(url, opened.tokenizer, made, id=id, created=created, model=opened.name)

    async def _all(self, submissions: list[partial[Ticket[Any]]]) -> list[Any]:
        """The samples of all; when one fails, the others are cancelled."""
        tickets: list[Ticket[Any]] = []
        try:
            for submit in submissions:
                tickets.append(await _patiently(submit))
            return [await ticket for ticket in tickets]
        finally:
            for ticket in tickets:
                ticket.cancel()

    def _open(self, name: str) -> Opened:
        """The model of that name, in use until the end."""
        with self._lock:
            if name not in self._opened:
                if name not in self._known:
                    bundle = find(name)
                    if bundle is None:
                        raise UnknownModelError(name, [each.name for each in installed()])
                    # Packed, a model takes about what its files do.
                    size = sum(path.stat().st_size for path in bundle.files.values())
                    self._engine.add(name, partial(self._load, name, bundle), size)
                    self._known.add(name)
                self._engine.models.acquire(name)
            return self._opened[name]

    def _load(self, name: str, bundle: Bundle) -> Model:
        kind = EmbeddingModel if OpenBundle.of(bundle).is_encoder else LanguageModel
        opened = self._opened[name] = kind.open(bundle, device=self._device)
        return opened.model


def _hear(telling: Telling, i: int, progress: Any) -> None:
    if not telling.searching:
        telling.hear(i, progress)


async def _patiently(submit: partial[Ticket[Any]]) -> Ticket[Any]:
    """As ``submit``, as soon as there is room in the queue."""
    while True:
        try:
            return submit()
        except BusyError:
            await asyncio.sleep(PATIENCE)


def _wrong(opened: Opened, why: str) -> InvalidRequestError:
    return InvalidRequestError("model", f"{opened.name} {why}", remedy="Name another model.")
