"""The house of models: those of this machine behind one engine, and those elsewhere beside them.

A model is opened when it is first asked for by name, once however many ask, and closed when
another needs the room and nobody uses it. Nothing is fetched here: what a name stands for must be
installed, or be known as a model elsewhere. *Requests name models, never places*: a path is opened
only if the owner of the house has let it in. Answers come in the events of
:mod:`studiolo.task.asking`; knows no dialect.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor

from studiolo.bundle.adapter import installed_adapter, installed_adapters
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import Bundle, find, installed, looks_like_path
from studiolo.errors import (
    InvalidRequestError,
    RequestCancelledError,
    UnknownModelError,
)
from studiolo.family.encoder import EncodeRequest
from studiolo.family.prefix import PrefixCache
from studiolo.nn.tape import Cached
from studiolo.runtime.engine import CLOSED, Engine
from studiolo.runtime.loop import Model
from studiolo.runtime.scheduler import Pace
from studiolo.runtime.ticket import Ticket
from studiolo.sampler.watermark import Watermark
from studiolo.task.asking import Answer, TextAsk
from studiolo.task.embedding import EmbeddingModel, Text
from studiolo.task.load import checked_cache, checked_device
from studiolo.task.remote.deadline import done_in_time, in_time
from studiolo.task.scoring import Echo, Echoing, TextModel
from studiolo.task.several import several
from studiolo.task.telling import Listener, LocalAnswer, prepared
from studiolo.task.text import LanguageModel
from studiolo.task.waiting import LONG, beside, patiently, takes_long

Opened = LanguageModel | EmbeddingModel
WINDOW = 256
"""Texts of one request for vectors that wait at once; the places of the queue are for all."""
LOADERS = 2
"""Models that are read at once."""


class Elsewhere(Protocol):
    """A model that answers somewhere else."""

    def tell(self, ask: TextAsk, *, client: str) -> AbstractAsyncContextManager[Answer]:
        """As :meth:`House.tell`."""


@runtime_checkable
class EmbedsElsewhere(Protocol):
    """One that makes vectors."""

    async def embed(self, texts: Sequence[Text], *, truncate: bool) -> tuple[list[Tensor], int]:
        """As :meth:`House.embed`."""


class House:
    """Close it, or use it in a ``with``. Memory is in bytes.

    ``model_memory``: of all models together; ``request_memory``: of all requests under way;
    ``prefix_memory``: for each model, of what prompts begin with. ``elsewhere``: by name.
    ``pace``: of each model. ``kv_cache``: what all models keep keys and values as. ``watermark``:
    what texts are marked with that are drawn here.

    Raises :class:`InvalidRequestError` for a device or a cache that cannot be here.
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
        kv_cache: Cached = "float32",
        watermark: Watermark | None = None,
    ) -> None:
        self._device, self._prefix_memory = checked_device(device), prefix_memory
        self._cached = checked_cache(kv_cache, packed=self._device.type == "cpu")
        self._pace, self._watermark = pace, watermark
        self.engine = Engine(model_memory=model_memory, request_memory=request_memory)
        self.elsewhere = dict(elsewhere or {})
        self._opened: dict[str, Opened] = {}
        self._admitted: set[str] = set()
        self._lock = threading.Lock()
        # Threads of its own: those of asyncio are for what takes no time.
        self._loaders = ThreadPoolExecutor(LOADERS, thread_name_prefix="studiolo-loader")
        self._loads: dict[str, Future[None]] = {}

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
        self._loaders.shutdown(wait=False)

    def admit(self, name: str) -> None:
        """Let requests name ``name``, which may be a path."""
        self._admitted.add(name)

    def load(self, name: str) -> None:
        """Open the model of that name, so that the first request need not wait; admits it.

        Raises :class:`UnknownModelError`, :class:`MemoryLimitError`, :class:`BusyError` while
        others have the room, and what reading it does.
        """
        self.admit(name)
        self._know(name)
        self._load(name)

    def known(self) -> list[tuple[str, int, str]]:
        """What can be asked: name, when it came here (Unix seconds), and who answers.

        Of paths, those that are admitted.
        """
        here = {each.name: each for each in installed()}
        for name in self._admitted:
            if looks_like_path(name) and (bundle := find(name)) is not None:
                here[name] = bundle
        found = [
            (name, int(each.path.stat().st_mtime), "studiolo")
            for name, each in here.items()
            if name not in self.elsewhere
        ]
        return sorted([*found, *((name, 0, "elsewhere") for name in self.elsewhere)])

    def unload(self, name: str) -> None:
        """Close a model; raises :class:`BusyError` while it is in use."""
        self.engine.models.unload(name)

    @asynccontextmanager
    async def use(self, name: str, *, patient: bool = False) -> AsyncIterator[Opened]:
        """The model of that name, open until the end; what an adapter changes is the model itself.

        ``patient``: wait while others have the room. Raises as :meth:`load`.
        """
        name, _ = self._apart(name)
        claim = partial(self._claim, name)
        await (patiently(claim) if patient else claim())
        try:
            while name not in self._opened:
                await asyncio.shield(asyncio.wrap_future(self._loading(name)))
            yield self._opened[name]
        finally:
            self.engine.models.release(name)

    @asynccontextmanager
    async def tell(
        self,
        ask: TextAsk,
        *,
        client: str = "",
        priority: int = 0,
        timeout: float | None = None,
        patient: bool = False,
    ) -> AsyncIterator[Answer]:
        """Answer; leaving the block cancels what is not done.

        ``client``: clients take turns, and share nothing that could be told from how long an
        answer took. ``priority``: higher goes first. ``timeout``: seconds. ``patient``: wait
        while there is no room, for the model or in the queue, as all samples but the first do in
        any case. A model's name may be followed by ``+`` and an installed adapter's. Raises what
        :meth:`load`, :meth:`LanguageModel.prepare` and :meth:`Engine.submit` do.
        """
        more: dict[str, Any] = {"client": client, "priority": priority, "timeout": timeout}
        ask = self._adapted(ask)
        if ask.others:
            async with several(
                ask, lambda one, waits: self._tell(one, patient=patient or waits, **more)
            ) as answer:
                yield answer
        else:
            async with self._tell(ask, patient=patient, **more) as answer:
                yield answer

    @asynccontextmanager
    async def _tell(
        self, ask: TextAsk, *, client: str, priority: int, timeout: float | None, patient: bool
    ) -> AsyncIterator[Answer]:
        """Answer one prompt, or a conversation."""
        if (other := self.elsewhere.get(ask.model)) is not None:
            async with in_time(other.tell(ask, client=client), timeout) as answer:
                yield answer
            return
        async with self.use(ask.model, patient=patient) as opened:
            if not isinstance(opened, LanguageModel):
                raise InvalidRequestError(
                    "model", f"{ask.model} makes vectors, not texts", remedy="Name another model."
                )
            telling = await beside(takes_long(ask), partial(prepared, opened, ask))
            request = replace(telling.request, scope=client)
            started = time.perf_counter()
            with ExitStack() as held:
                tickets: list[Ticket[Any]] = []

                async def begin(request: object, watch: object, seed: int = 0) -> Ticket[Any]:
                    options = {"client": client, "priority": priority, "timeout": timeout}
                    submit = self._submission(ask.model, request, seed=seed, watch=watch, **options)
                    waits = patient or bool(tickets)
                    tickets.append(await (patiently(submit) if waits else submit()))
                    held.callback(tickets[-1].cancel)
                    return tickets[-1]

                echo, scores = Echo(opened, ask, telling) if ask.echo else None, None
                if echo is not None and echo.request is not None:
                    scores = await begin(echo.request, echo)
                alone = ask.options.get("max_tokens") == 0
                seeds = [] if alone else telling.seeds
                listeners = [Listener(opened, telling, i, ask) for i in range(len(seeds))]
                made = [await begin(request, *each) for each in zip(listeners, seeds, strict=True)]
                answer = LocalAnswer(opened, ask, telling, listeners, made, started)
                if echo is None:
                    yield answer
                else:
                    yield Echoing(answer, echo, scores, telling.asked.n, alone=alone)

    async def embed(
        self,
        name: str,
        texts: Sequence[Text],
        *,
        truncate: bool = False,
        client: str = "",
        priority: int = 0,
        timeout: float | None = None,
        patient: bool = False,
    ) -> tuple[list[Tensor], int]:
        """The vector of each text, and how many tokens were read; options as of :meth:`tell`.

        Only the first may find the queue full: the others wait for room, however many they are.
        """
        if (other := self.elsewhere.get(name)) is not None:
            if isinstance(other, EmbedsElsewhere):
                return await done_in_time(other.embed(texts, truncate=truncate), timeout)
            raise InvalidRequestError(
                "model", f"{name} answers elsewhere, in texts alone", remedy="Name another model."
            )
        async with self.use(name, patient=patient) as opened:
            if not isinstance(opened, EmbeddingModel):
                raise InvalidRequestError(
                    "model", f"{name} makes texts, not vectors", remedy="Name another model."
                )
            long = sum(map(len, texts)) >= LONG
            sequences = await beside(long, partial(opened.encode, texts, truncate=truncate))
            vectors: list[Tensor] = []
            with ExitStack() as held:
                waiting: deque[Ticket[Tensor]] = deque()
                for ids in sequences:
                    if len(waiting) == WINDOW:
                        vectors.append(await waiting.popleft())
                    submit = self._submission(
                        name,
                        EncodeRequest(ids),
                        client=client,
                        priority=priority,
                        timeout=timeout,
                    )
                    waits = patient or bool(waiting)
                    waiting.append(await (patiently(submit) if waits else submit()))
                    held.callback(waiting[-1].cancel)
                vectors += [await ticket for ticket in waiting]
            return vectors, sum(map(len, sequences))

    def _submission(
        self, name: str, request: object, **options: Any
    ) -> Callable[[], Awaitable[Ticket[Any]]]:
        async def submit() -> Ticket[Any]:
            return self.engine.submit(name, request, **options)

        return submit

    def _apart(self, name: str) -> tuple[str, str | None]:
        """The name of a model, and that of the adapter which it is asked for with."""
        model, plus, adapter = name.rpartition("+")
        known = name in self.elsewhere or name in self._admitted
        return (model, adapter) if plus and not known else (name, None)

    def _adapted(self, ask: TextAsk) -> TextAsk:
        """``ask`` of the model itself, its adapter among the options: one that is installed."""
        model, adapter = self._apart(ask.model)
        if adapter is None:
            return ask
        if model in self.elsewhere:
            raise InvalidRequestError("model", f"{model} answers elsewhere, and takes no adapter")
        path = installed_adapter(adapter)
        if path is None:
            known = [f"{model}+{each}" for each in installed_adapters()]
            raise UnknownModelError(ask.model, known)
        return replace(ask, model=model, options={**ask.options, "adapter": path})

    async def _claim(self, name: str) -> None:
        """Have a model in use, which need not be open yet."""
        while True:
            try:
                return self.engine.models.claim(name)
            except UnknownModelError:
                await asyncio.to_thread(self._know, name)

    def _loading(self, name: str) -> Future[None]:
        """A load under way that everybody may wait for who has claimed the model."""
        with self._lock:
            if (under_way := self._loads.get(name)) is not None:
                return under_way
            try:
                future = self._loads[name] = self._loaders.submit(self._load, name)
            except RuntimeError:
                raise RequestCancelledError(CLOSED) from None
        future.add_done_callback(lambda _: self._loads.pop(name))
        return future

    def _load(self, name: str) -> None:
        if self.engine.closed:
            raise RequestCancelledError(CLOSED)
        self.engine.models.acquire(name)
        self.engine.models.release(name)

    def _know(self, name: str) -> None:
        """Make the engine acquainted with an installed model, or an admitted one."""
        with self._lock:
            if name in self.engine.models:
                return
            place = looks_like_path(name) or name.startswith("hf:")
            bundle = find(name) if name in self._admitted or not place else None
            if bundle is None:
                known = {*self.elsewhere, *(each.name for each in installed())}
                raise UnknownModelError(name, sorted(known))
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
        _ = bundle.digest  # answers name it; of a path it takes reading all files once
        if OpenBundle.of(bundle).is_encoder:
            self._opened[name] = encoder = EmbeddingModel.open(bundle, device=self._device)
            return encoder.model
        self._opened[name] = lm = LanguageModel.open(
            bundle, device=self._device, cached=self._cached
        )
        lm.watermark = self._watermark
        if self._prefix_memory:
            lm.model.prefix = PrefixCache(self._prefix_memory)
        return TextModel(lm.model)
