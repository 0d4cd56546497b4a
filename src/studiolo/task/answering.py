"""Answers to OpenAI-shaped requests, many at once, from the models of one house.

A model that a request names must be on this machine: nothing is fetched in the middle of a job.
Does not know where requests come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from studiolo.errors import InvalidRequestError, RequestCancelledError
from studiolo.task.asking import TextAsk, collect
from studiolo.task.house import House
from studiolo.task.openai import CHAT, EMBEDDINGS, Url, chat, completions, embeddings
from studiolo.task.openai.errors import body_of, status_of
from studiolo.task.openai.fields import Head, TextBody, parse


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
        self._model, self._encoder = model, encoder
        self._house = House(device=device, model_memory=model_memory, request_memory=request_memory)

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
            return status_of(error), body_of(error)

    async def _answer(
        self, url: Url, body: Mapping[str, Any], id: str, seed: int, created: int
    ) -> dict[str, Any]:
        if url == EMBEDDINGS:
            wanted = parse(embeddings.EmbeddingBody, body)
            name = wanted.model or self._encoder
            vectors, tokens = await self._house.embed(
                name,
                embeddings.texts(wanted),
                truncate=bool(wanted.truncate),
                patient=True,
            )
            return embeddings.whole(wanted, vectors, tokens, name)
        read: chat.ChatBody | completions.CompletionBody
        if url == CHAT:
            read = parse(chat.ChatBody, body)
            head = self._head(read, id, created)
            ask = chat.ask(read, head.model)
        else:
            read = parse(completions.CompletionBody, body)
            head = self._head(read, id, created)
            ask = completions.ask(read, head.model)
        async with self._house.tell(_seeded(ask, seed), patient=True) as answer:
            choices = await collect(answer)
            made = answer.outcome, answer.fingerprint
        if isinstance(read, chat.ChatBody):
            return chat.whole(head, choices, *made, scored=bool(read.logprobs))
        return completions.whole(read, head, choices, *made)

    def _head(self, body: TextBody, id: str, created: int) -> Head:
        if body.stream:
            raise InvalidRequestError("stream", "is not possible here", remedy="Leave it out.")
        return Head(id, created, body.model or self._model)


def _seeded(ask: TextAsk, seed: int) -> TextAsk:
    return replace(ask, options={"seed": seed, **ask.options})
