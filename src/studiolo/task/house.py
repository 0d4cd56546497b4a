"""The house of models: those of this machine behind one engine, and those elsewhere beside them.

A model is opened when it is first asked for by name, and closed when another needs the room and
nobody uses it. Nothing is fetched here: what a name stands for must be installed, or be known as
a model elsewhere. Answers come in the events of :mod:`studiolo.task.asking`; knows no dialect.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from torch import Tensor

from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import Bundle, find, installed
from studiolo.errors import BusyError, InvalidRequestError, UnknownModelError
from studiolo.family.encoder import EncodeRequest
from studiolo.family.prefix import PrefixCache
from studiolo.runtime.engine import Engine
from studiolo.runtime.loop import Model
from studiolo.runtime.scheduler import Pace
from studiolo.runtime.ticket import Ticket
from studiolo.task.asking import Answer, TextAsk
from studiolo.task.embedding import EmbeddingModel, Text
from studiolo.task.load import checked_device
from studiolo.task.telling import Listener, LocalAnswer, prepared
from studiolo.task.text import LanguageModel

Opened = LanguageModel | EmbeddingModel
T = TypeVar("T")
PATIENCE = 0.02
"""Seconds until what found the queue full is tried again."""
LONG = 50_000
"""Characters from which a prompt is prepared beside the event loop, which others need."""


class Elsewhere(Protocol):
    """A model that answers somewhere else."""

    def tell(self, ask: TextAsk, *, client: str) -> AbstractAsyncContextManager[Answer]:
        """As :meth:`House.tell`."""


class House:
    """Close it, or use it in a ``with``. Memory is in bytes.

    ``model_memory``: of all models together; ``request_memory``: of all requests under way;
    ``prefix_memory``: for each model, of what prompts begin with. ``elsewhere``: by name.
    ``pace``: of each model.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        model_memory: int,
        request_memory: int,
        prefix_memory: int = 0,
        elsewhere: Mapping[str, Elsewhere] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._device, self._prefix_memory = checked_device(device), prefix_memory
        self._pace = pace
        self.engine = Engine(model_memory=model_memory, request_memory=request_memory)
        self.elsewhere = dict(elsewhere or {})
        self._opened: dict[str, Opened] = {}
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
        self.engine.close()

    def load(self, name: str) -> None:
        """Open the model of that name, so that the first request need not wait.

        Raises :class:`UnknownModelError`, :class:`MemoryLimitError`, and what reading it does.
        """
        self._know(name)
        self.engine.models.acquire(name)
        self.engine.models.release(name)

    def known(self) -> list[tuple[str, int, str]]:
        """What can be asked: name, when it came here (Unix seconds), and who answers."""
        here = [
            (each.name, int(each.path.stat().st_mtime), "studiolo")
            for each in installed()
            if each.name not in self.elsewhere
        ]
        return sorted([*here, *((name, 0, "elsewhere") for name in self.elsewhere)])

    def unload(self, name: str) -> None:
        """Close a model; raises :class:`BusyError` while it is in use."""
        self.engine.models.unload(name)

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Opened]:
        """The model of that name, open until the end; raises as :meth:`load`."""
        models = self.engine.models
        if not models.acquire_loaded(name):
            await asyncio.to_thread(self._know, name)
            await asyncio.to_thread(models.acquire, name)
        try:
            yield self._opened[name]
        finally:
            models.release(name)

    @asynccontextmanager
    async def tell(
        self,
        ask: TextAsk,
        *,
        client: str = "",
        timeout: float | None = None,
        patient: bool = False,
    ) -> AsyncIterator[Answer]:
        """Answer; leaving the block cancels what is not done.

        ``client``: clients take turns, and share nothing that could be told from how long an
        answer took. ``timeout``: seconds. ``patient``: wait while the queue is full, as all samples
        but the first do in any case. Raises what
        :meth:`load`, :meth:`LanguageModel.prepare` and :meth:`Engine.submit` do.
        """
        if (other := self.elsewhere.get(ask.model)) is not None:
            async with other.tell(ask, client=client) as answer:
                yield answer
            return
        async with self.use(ask.model) as opened:
            if not isinstance(opened, LanguageModel):
                raise InvalidRequestError(
                    "model", f"{ask.model} makes vectors, not texts", remedy="Name another model."
                )
            telling = await _beside(_length(ask), partial(prepared, opened, ask))
            request = replace(telling.request, scope=client)
            with ExitStack() as held:
                listeners: list[Listener] = []
                tickets: list[Ticket[Any]] = []
                for i, seed in enumerate(telling.seeds):
                    listeners.append(Listener(opened, telling, i, ask))
                    submit = partial(
                        self.engine.submit,
                        ask.model,
                        request,
                        seed=seed,
                        client=client,
                        timeout=timeout,
                        watch=listeners[i],
                    )
                    tickets.append(await _patiently(submit) if patient or tickets else submit())
                    held.callback(tickets[i].cancel)
                yield LocalAnswer(opened, telling, listeners, tickets)

    async def embed(
        self,
        name: str,
        texts: Sequence[Text],
        *,
        truncate: bool = False,
        client: str = "",
        timeout: float | None = None,
        patient: bool = False,
    ) -> tuple[list[Tensor], int]:
        """The vector of each text, and how many tokens were read; options as of :meth:`tell`.

        Only the first may find the queue full: the others wait for room, however many they are.
        """
        async with self.use(name) as opened:
            if not isinstance(opened, EmbeddingModel):
                raise InvalidRequestError(
                    "model", f"{name} makes texts, not vectors", remedy="Name another model."
                )
            size = sum(map(len, texts))
            sequences = await _beside(size, partial(opened.encode, texts, truncate=truncate))
            with ExitStack() as held:
                tickets: list[Ticket[Tensor]] = []
                for ids in sequences:
                    submit = partial(
                        self.engine.submit,
                        name,
                        EncodeRequest(ids),
                        client=client,
                        timeout=timeout,
                    )
                    tickets.append(await _patiently(submit) if patient or tickets else submit())
                    held.callback(tickets[-1].cancel)
                vectors = [await ticket for ticket in tickets]
            return vectors, sum(map(len, sequences))

    def _know(self, name: str) -> None:
        """Make the engine acquainted with an installed model."""
        with self._lock:
            if name in self.engine.models:
                return
            bundle = find(name)
            if bundle is None:
                raise UnknownModelError(name, [each.name for each in installed()])
            # Packed, a model takes about what its files do.
            size = sum(path.stat().st_size for path in bundle.files.values())
            self.engine.add(
                name,
                partial(self._open, name, bundle),
                size,
                self._pace,
                forget=partial(self._opened.pop, name, None),
            )

    def _open(self, name: str, bundle: Bundle) -> Model:
        if OpenBundle.of(bundle).is_encoder:
            self._opened[name] = encoder = EmbeddingModel.open(bundle, device=self._device)
            return encoder.model
        self._opened[name] = lm = LanguageModel.open(bundle, device=self._device)
        if self._prefix_memory:
            lm.model.prefix = PrefixCache(self._prefix_memory)
        return lm.model


def _length(ask: TextAsk) -> int:
    """About how many characters are to be read."""
    if ask.messages is not None:
        return sum(len(str(message.get("content", ""))) for message in ask.messages)
    return len(ask.prompt or "") + len(ask.suffix or "")


async def _beside(length: int, work: Callable[[], T]) -> T:
    """What ``work`` gives; in another thread if the text is long."""
    return work() if length < LONG else await asyncio.to_thread(work)


async def _patiently(submit: Callable[[], Ticket[Any]]) -> Ticket[Any]:
    """As ``submit``, as soon as there is room in the queue."""
    while True:
        try:
            return submit()
        except BusyError:
            await asyncio.sleep(PATIENCE)
