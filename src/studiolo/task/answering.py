"""Answers to OpenAI-shaped requests, one after the other or many at once, and no HTTP about them.

What answers is handed in: :class:`Answerer` brings a house of models of its own along, a server
lends its own. A model that a request names must be there: nothing is fetched in the middle of a
job. Does not know where requests come from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from studiolo.errors import InvalidRequestError, RequestCancelledError
from studiolo.task.asking import Answer, TextAsk
from studiolo.task.embedding import Text
from studiolo.task.house import House
from studiolo.task.openai import CHAT, EMBEDDINGS, RESPONSES, Url, chat, completions, embeddings
from studiolo.task.openai import responses as items
from studiolo.task.openai.errors import body_of, status_of
from studiolo.task.openai.fields import AskingBody, Head, parse
from studiolo.task.openai.responses_events import told
from studiolo.task.wording import worded

Tell = Callable[[TextAsk], AbstractAsyncContextManager[Answer]]
"""As :meth:`House.tell`."""
Embed = Callable[[str, Sequence[Text], bool], Awaitable[tuple[Sequence[Tensor], int]]]
"""Vectors and tokens of a model's name, texts, and whether to cut what is too long."""

Write = Callable[[Answer], Awaitable[dict[str, Any]]]
"""The body of an answer."""


class Answers:
    """Answers with ``tell`` and ``embed``.

    ``model``, ``encoder``: for requests that name none, to make texts and vectors. ``elsewhere``:
    models that draw somewhere else, and are given no seed that nobody asked for. ``failed`` is
    shown every error that an answer tells of.
    """

    def __init__(
        self,
        *,
        model: str,
        encoder: str,
        tell: Tell,
        embed: Embed,
        elsewhere: Container[str] = (),
        failed: Callable[[Exception], object] = lambda error: None,
    ) -> None:
        self._model, self._encoder, self._tell, self._embed = model, encoder, tell, embed
        self._elsewhere, self._failed = elsewhere, failed

    async def answer(
        self, url: Url, body: Mapping[str, Any], *, id: str, seed: int, created: int
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer, also of one that tells of an error.

        ``seed``: for a request that has none. Errors name fields as the request does. Raises
        :class:`RequestCancelledError` alone: there will be no more answers.
        """
        try:
            return 200, await self._answer(url, body, id, seed, created)
        except RequestCancelledError:
            raise
        except Exception as error:  # of this request, whatever it is
            self._failed(error)
            return status_of(error), body_of(error)

    async def _answer(
        self, url: Url, body: Mapping[str, Any], id: str, seed: int, created: int
    ) -> dict[str, Any]:
        if url == EMBEDDINGS:
            wanted = parse(embeddings.EmbeddingBody, body)
            name = wanted.model or self._encoder
            texts = embeddings.texts(wanted)
            with worded(embeddings.names(wanted)):
                vectors, tokens = await self._embed(name, texts, bool(wanted.truncate))
            return embeddings.whole(wanted, vectors, tokens, name)
        ask, write, names = self._read(url, body, id, created)
        if ask.model not in self._elsewhere:
            ask = replace(ask, options={"seed": seed, **ask.options})
        with worded(names):
            async with self._tell(ask) as answer:
                return await write(answer)

    def _read(
        self, url: Url, body: Mapping[str, Any], id: str, created: int
    ) -> tuple[TextAsk, Write, Mapping[str, str]]:
        """What a request for a text asks, what writes the answer, and its names for options."""
        if url == CHAT:
            talk = parse(chat.ChatBody, body)
            head = self._head(talk, id, created)
            return chat.ask(talk, head.model), partial(chat.told, talk, head), chat.names(talk)
        if url == RESPONSES:
            asked = parse(items.ResponseBody, body)
            if asked.previous_response_id is not None or asked.store:
                field = "store" if asked.store else "previous_response_id"
                raise InvalidRequestError(field, "is not possible here", remedy="Leave it out.")
            head = self._head(asked, id, created)
            return items.ask(asked, head.model), partial(told, asked, head), items.names(asked)
        wanted = parse(completions.CompletionBody, body)
        head = self._head(wanted, id, created)
        return (
            completions.ask(wanted, head.model),
            partial(completions.told, wanted, head),
            completions.names(wanted),
        )

    def _head(self, body: AskingBody, id: str, created: int) -> Head:
        if body.stream:
            raise InvalidRequestError("stream", "is not possible here", remedy="Leave it out.")
        return Head(id, created, body.model or self._model)


class Answerer(Answers):
    """Answers from models of its own; close it, or use it in a ``with``.

    The memory, in bytes, is what all models, and beside them all requests under way, may take.
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
        house = House(device=device, model_memory=model_memory, request_memory=request_memory)
        for name in (model, encoder):
            house.admit(name)
        self._house = house

        async def embed(
            name: str, texts: Sequence[Text], truncate: bool
        ) -> tuple[Sequence[Tensor], int]:
            return await house.embed(name, texts, truncate=truncate, patient=True)

        super().__init__(
            model=model, encoder=encoder, tell=partial(house.tell, patient=True), embed=embed
        )

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
        self._house.close()
