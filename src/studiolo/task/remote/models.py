"""Models elsewhere as a house knows them: each with those that answer when it cannot.

A fallback is asked only while nothing of the answer has been given out, and only for texts:
vectors of one model say nothing beside those of another. Fallbacks of fallbacks are not followed.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from studiolo.errors import InvalidRequestError, StudioloError, UpstreamError
from studiolo.task.asking import Answer, TextAsk
from studiolo.task.embedding import Text
from studiolo.task.remote.failure import FailedError
from studiolo.task.remote.reply import RemoteAnswer
from studiolo.task.remote.settings import Remote, key_of
from studiolo.task.remote.upstream import Upstream
from studiolo.task.remote.wire import Told

log = logging.getLogger("studiolo.remote")


class RemoteModel:
    """``upstreams``: itself, and then its fallbacks."""

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.upstreams = tuple(upstreams)

    @asynccontextmanager
    async def tell(self, ask: TextAsk, *, client: str = "") -> AsyncIterator[Answer]:
        """As :meth:`studiolo.task.house.House.tell`. Who asks is not passed on."""
        answer = await self._first(ask)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def embed(
        self, texts: Sequence[Text], *, truncate: bool = False
    ) -> tuple[list[Tensor], int]:
        """The vector of each text, float32 ``[width]``, and how many tokens were read."""
        upstream = self.upstreams[0]
        remote = upstream.remote
        if remote.dialect != "openai":
            raise InvalidRequestError("model", f"{upstream.name}, elsewhere, makes no vectors")
        if len({isinstance(text, str) for text in texts}) > 1:
            raise InvalidRequestError(
                "input", f"{upstream.name}, elsewhere, takes texts or token ids, not both at once"
            )
        body: dict[str, object] = {
            "model": remote.model,
            "input": list(texts),
            "encoding_format": "float",
        }
        if truncate:
            if "truncate" not in remote.accepts:
                raise InvalidRequestError("truncate", f"{upstream.name}, elsewhere, cannot do this")
            body["truncate"] = True
        try:
            sent = await upstream.post("/embeddings", body)
        except FailedError as failure:
            raise failure.error from None
        return _vectors(upstream.name, sent, len(texts))

    async def aclose(self) -> None:
        """Let its connections go."""
        await self.upstreams[0].aclose()

    async def _first(self, ask: TextAsk) -> RemoteAnswer:
        """The answer of the first upstream that gives one."""
        failed: StudioloError | None = None
        for upstream in self.upstreams:
            try:
                answer = await upstream.tell(ask)
            except FailedError as failure:
                failed = failed or failure.error
                continue
            except StudioloError as error:
                if failed is None:
                    raise
                # Not its words: they are the upstream's, and may be a prompt's.
                log.warning("%s does not stand in: %s", upstream.name, type(error).__name__)
                continue
            if failed is not None:
                log.warning("%s stands in for %s", upstream.name, ask.model)
            return answer
        if failed is None:
            raise ValueError("a model elsewhere needs an upstream")
        raise failed


class _Vector(Told):
    index: int
    embedding: list[float] | str


class _Usage(Told):
    prompt_tokens: int = Field(0, ge=0)


class _Vectors(Told):
    data: list[_Vector]
    usage: _Usage = _Usage()


def _vectors(name: str, sent: bytes, count: int) -> tuple[list[Tensor], int]:
    def broken(reason: str) -> UpstreamError:
        return UpstreamError(f"{name}, elsewhere, sent vectors that cannot be read: {reason}")

    try:
        read = _Vectors.model_validate_json(sent)
    except ValidationError as error:
        raise broken(error.errors(include_url=False, include_input=False)[0]["msg"]) from None
    data = sorted(read.data, key=lambda each: each.index)
    if [each.index for each in data] != list(range(count)):
        raise broken(f"{len(data):,} for {count:,} texts")
    vectors = []
    for each in data:
        try:
            vectors.append(_tensor(each.embedding))
        except ValueError:
            raise broken("one is not in base64") from None
    if len({len(vector) for vector in vectors}) > 1:
        raise broken("they are of different widths")
    return vectors, read.usage.prompt_tokens


def _tensor(embedding: list[float] | str) -> Tensor:
    """A vector; some servers write base64 of float32 whatever they are asked for."""
    if isinstance(embedding, str):
        return torch.frombuffer(
            bytearray(base64.b64decode(embedding, validate=True)), dtype=torch.float32
        )
    return torch.tensor(embedding, dtype=torch.float32)


def open_remotes(
    remotes: Mapping[str, Remote], headers: Callable[[], Mapping[str, str]] = dict
) -> dict[str, RemoteModel]:
    """The models of ``remotes`` by name; ``headers``: what else every request shall bring.

    Raises :class:`InvalidRequestError` for a key that is not in the environment.
    """
    upstreams = {
        name: Upstream(name, remote, key_of(name, remote), headers=headers)
        for name, remote in remotes.items()
    }
    return {
        name: RemoteModel([upstreams[name], *(upstreams[other] for other in remote.fallbacks)])
        for name, remote in remotes.items()
    }
