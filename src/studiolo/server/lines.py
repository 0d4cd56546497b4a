"""A line of a batch, answered by the server's own models for whoever the batch is of.

A line is a request like any other: it is in the records, it counts against its key's limits, and
what the policy keeps is kept of it. Two things are different. *It stands back*: it has a lower
priority, and while anybody waits for an answer, one line goes at a time. *It waits* where a request
would be refused: for room, and for its key's limits. Nothing here knows files.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from torch import Tensor

from studiolo.errors import BusyError, PermissionDeniedError, RecordsError, RequestCancelledError
from studiolo.record.grant import Key
from studiolo.record.receipt import Receipt
from studiolo.record.records import Records
from studiolo.server.context import Caller, Context
from studiolo.server.keeping import keep
from studiolo.server.limits import Limiter, LimitError
from studiolo.server.metering import count
from studiolo.server.replies import ending
from studiolo.server.settings import Settings
from studiolo.task.answering import Answers
from studiolo.task.asking import Answer, Choices, Ended, Event, Outcome, TextAsk
from studiolo.task.embedding import Text
from studiolo.task.house import House
from studiolo.task.openai import Url

PRIORITY = -1
PAUSE = 0.05
"""Seconds after which it is looked again whether anybody still waits for an answer."""
LONGEST = 60.0
"""Seconds after which it is asked again whether a key may go on."""


class Lines:
    """Answers lines. ``others()``: how many requests are under way that are no line's."""

    def __init__(
        self,
        settings: Settings,
        house: House,
        records: Records,
        limiter: Limiter,
        others: Callable[[], int],
    ) -> None:
        self._settings, self._house, self._records = settings, house, records
        self._limiter, self._others = limiter, others
        self._door = asyncio.Lock()
        self._count = 0

    async def answer(
        self,
        key: Key | None,
        url: Url,
        body: Mapping[str, Any],
        *,
        id: str,
        seed: int,
        created: int,
    ) -> tuple[int, dict[str, Any]]:
        """As :meth:`Answers.answer`, of a line of the batch of ``key``.

        ``id``: of the request, without what marks it as one; a line that is answered again is the
        same request, and stands in the records once.
        """
        user = body.get("user")
        context = Context(f"POST {url}", "openai", id=f"req_{id}", caller=Caller(key))
        context.user = user if isinstance(user, str) else None

        def tell(ask: TextAsk) -> Any:
            return self._tell(context, ask)

        async def embed(
            name: str, texts: Sequence[Text], truncate: bool
        ) -> tuple[Sequence[Tensor], int]:
            return await self._embed(context, name, texts, truncate)

        answers = Answers(
            model=self._settings.model,
            encoder=self._settings.encoder,
            tell=tell,
            embed=embed,
            elsewhere=self._house.elsewhere,
            failed=context.failed,
        )
        async with self._door:
            await self._wait(key)
            self._count += 1
        try:
            status, made = await answers.answer(url, body, id=id, seed=seed, created=created)
        finally:
            self._count -= 1
        context.status = status
        self._records.ledger.note(context.entry())
        return status, made

    async def _wait(self, key: Key | None) -> None:
        """Until the next line may go."""
        while self._count and self._others():
            await asyncio.sleep(PAUSE)
        while key is not None:
            try:
                await asyncio.to_thread(self._limiter.admit, key)
            except LimitError as error:
                await asyncio.sleep(min(error.retry_after, LONGEST))
            else:
                return

    @asynccontextmanager
    async def _tell(self, context: Context, ask: TextAsk) -> AsyncIterator[Answer]:
        client = self._named(context, ask.model)
        async with self._house.tell(ask, client=client, priority=PRIORITY, patient=True) as answer:
            heard = _Heard(answer)
            yield heard
            context.finish = ",".join(sorted(heard.reasons)) or None
            count(context, answer.outcome, self._settings, self._limiter)
            contents = self._records.contents
            try:
                await keep(contents, context, ask, heard.choices.made, answer, {})
            except (RecordsError, BusyError) as error:  # no fault of the line
                raise RequestCancelledError(error.message) from error

    async def _embed(
        self, context: Context, name: str, texts: Sequence[Text], truncate: bool
    ) -> tuple[Sequence[Tensor], int]:
        vectors, tokens = await self._house.embed(
            name,
            texts,
            truncate=truncate,
            client=self._named(context, name),
            priority=PRIORITY,
            patient=True,
        )
        count(context, Outcome(tokens, 0, 0, None, 0.0), self._settings, self._limiter)
        return vectors, tokens

    def _named(self, context: Context, model: str) -> str:
        """The client that a line is asked for: apart from its key's other requests.

        Raises :class:`PermissionDeniedError` if the key may not use ``model``.
        """
        context.model = model
        if not context.caller.may_use(model):
            raise PermissionDeniedError(
                f"the key {context.caller.id} is not for the model {model!r:.80}"
            )
        return f"batch {context.caller.id}"


class _Heard:
    """An answer of which is remembered what went by."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.fingerprint, self.prompt_tokens = answer.fingerprint, answer.prompt_tokens
        self.choices, self.reasons = Choices(), set[str]()

    async def __aiter__(self) -> AsyncIterator[Event]:
        events = aiter(self._answer)
        async with ending(events):
            async for event in events:
                self.choices.hear(event)
                if isinstance(event, Ended):
                    self.reasons.add(event.reason)
                yield event

    @property
    def outcome(self) -> Outcome:
        return self._answer.outcome

    def receipt(self) -> Receipt | None:
        return self._answer.receipt()
