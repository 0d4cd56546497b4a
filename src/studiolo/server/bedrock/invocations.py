"""``/model/{modelId}/invoke`` and ``…/invoke-with-response-stream``."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from studiolo.errors import InvalidRequestError
from studiolo.record.receipt import Receipt
from studiolo.server.bedrock import framing, titan
from studiolo.server.bedrock.borrowed import ChatCompletions, Messages
from studiolo.server.bedrock.errors import failed
from studiolo.server.bedrock.llama import Llama
from studiolo.server.bedrock.mistral import Mistral
from studiolo.server.bedrock.names import MODEL, name_of
from studiolo.server.bedrock.native import Family, Native, family_of, object_of
from studiolo.server.bedrock.prompts import tokenised
from studiolo.server.desk import Desk
from studiolo.server.prompts import continued
from studiolo.server.replies import Json
from studiolo.task.asking import Answer, Ended, Event, Outcome, TextAsk
from studiolo.task.embedding import EmbeddingModel
from studiolo.task.openai.fields import Head, parse
from studiolo.task.wording import worded

FAMILIES = (
    Family("Anthropic's Messages", frozenset({"anthropic_version"}), Messages.read),
    Family("OpenAI's chat completions", frozenset({"messages"}), ChatCompletions.read),
    Family("Meta's Llama", frozenset({"prompt", "max_gen_len"}), Llama.read),
    Family("Mistral's", frozenset({"prompt", "max_tokens"}), Mistral.read),
    Family("Amazon's Titan", frozenset({"inputText"}), titan.TitanText.read),
)
PREFIX = "x-amzn-bedrock-"
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "accept": ("application/json", "*/*"),
    "trace": ("disabled",),
    "performanceconfig-latency": ("standard",),
    "service-tier": ("default",),
}
"""Headers with the values that ask for nothing; those that are not here are refused."""
TAKES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
"""What the addresses say of themselves; the families' bodies differ too much for one schema."""
METRICS = "amazon-bedrock-invocationMetrics"
router = APIRouter(tags=["Bedrock"])


@router.post("/model/{model_id:path}/invoke", openapi_extra=TAKES)
async def invoke_model(request: Request, model_id: str) -> Response:
    """Answer a native body by one of its own kind."""
    desk = Desk(request)
    value, head = await _read(desk, model_id, streamed=False)
    if "inputText" in value and await _makes_vectors(desk, head.model):
        return await _embedded(desk, value, head.model)
    native = family_of(value, FAMILIES).read(value, head)

    async def work(ask: TextAsk) -> tuple[dict[str, Any], Outcome]:
        async with desk.answer(ask) as answer:
            return await native.whole(answer), answer.outcome

    with worded({**MODEL, **native.names}):
        body, outcome = await desk.unless_gone(work(await _prepared(desk, native)))
    return Json(body, headers=_counts(outcome))


@router.post("/model/{model_id:path}/invoke-with-response-stream", openapi_extra=TAKES)
async def invoke_model_with_response_stream(request: Request, model_id: str) -> Response:
    """Answer a native body by chunks of its own kind."""
    desk = Desk(request)
    value, head = await _read(desk, model_id, streamed=True)
    native = family_of(value, FAMILIES).read(value, head)

    def chunks(answer: Answer) -> AsyncIterator[bytes]:
        return _chunks(native, _Ending(answer))

    with worded({**MODEL, **native.names}):
        ask = await _prepared(desk, native)
        stream = await desk.stream(ask, chunks, failed, framing.MEDIA_TYPE)
    stream.headers["x-amzn-bedrock-content-type"] = "application/json"
    return stream


async def _read(desk: Desk, model_id: str, *, streamed: bool) -> tuple[dict[str, Any], Head]:
    desk.require("inference")
    for name, given in desk.request.headers.items():
        setting = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and given.lower() not in SETTINGS.get(setting, ()):
            raise InvalidRequestError(name, f"cannot be {given!r:.80} here")
    value = object_of(await desk.body())
    if value.get("stream") not in (None, streamed):
        raise InvalidRequestError("stream", f"is {streamed}, as the address says".lower())
    return value, Head(desk.id, int(desk.context.started), desk.model(name_of(model_id)))


async def _prepared(desk: Desk, native: Native) -> TextAsk:
    """What a body asks, its prompt read as that body's clients mean it."""
    await desk.admit()
    if isinstance(native, Messages):
        return await continued(desk.studio, native.ask)
    return await tokenised(desk.studio, native.ask)


async def _makes_vectors(desk: Desk, name: str) -> bool:
    if name in desk.studio.house.elsewhere:
        return False
    await desk.admit()
    async with desk.studio.house.use(name) as opened:
        return isinstance(opened, EmbeddingModel)


async def _embedded(desk: Desk, value: Mapping[str, Any], name: str) -> Response:
    body = parse(titan.TitanVectorBody, value)
    vectors, tokens = await desk.embed(name, [body.input_text], truncate=False)
    counts = _counts(Outcome(tokens, 0, 0, None, 0.0))
    return Json(titan.vector(body, vectors[0], tokens), headers=counts)


def _counts(outcome: Outcome) -> dict[str, str]:
    return {
        "x-amzn-bedrock-input-token-count": str(outcome.prompt_tokens - outcome.cached_tokens),
        "x-amzn-bedrock-output-token-count": str(outcome.completion_tokens),
        "x-amzn-bedrock-cache-read-input-token-count": str(outcome.cached_tokens),
        "x-amzn-bedrock-cache-write-input-token-count": "0",
        "x-amzn-bedrock-invocation-latency": str(round(outcome.seconds * 1000)),
    }


async def _chunks(native: Native, answer: _Ending) -> AsyncIterator[bytes]:
    """The chunks in their frames; the last one, which is told by what follows, has metrics."""
    last: dict[str, Any] | None = None
    async for chunk in native.chunks(answer):
        if last is not None:
            yield _framed(last)
        last = chunk if answer.ended else None
        if last is None:
            yield _framed(chunk)
    outcome = answer.outcome
    metrics = {
        "inputTokenCount": outcome.prompt_tokens - outcome.cached_tokens,
        "outputTokenCount": outcome.completion_tokens,
        "invocationLatency": round(outcome.seconds * 1000),
        "firstByteLatency": round((outcome.seconds_to_first or outcome.seconds) * 1000),
        "cacheReadInputTokenCount": outcome.cached_tokens,
        "cacheWriteInputTokenCount": 0,
    }
    yield _framed({**(last or {}), METRICS: metrics})


def _framed(chunk: Mapping[str, Any]) -> bytes:
    return framing.event("chunk", {"bytes": base64.b64encode(to_json(chunk)).decode()})


class _Ending:
    """An answer, and whether a sample of it has ended: from then on a chunk may be the last."""

    def __init__(self, answer: Answer) -> None:
        self._answer, self.ended = answer, False
        self.fingerprint, self.prompt_tokens = answer.fingerprint, answer.prompt_tokens

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for event in self._answer:
            self.ended = self.ended or isinstance(event, Ended)
            yield event

    @property
    def outcome(self) -> Outcome:
        return self._answer.outcome

    def receipt(self) -> Receipt | None:
        return self._answer.receipt()
