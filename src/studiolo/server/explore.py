"""``/studiolo/v1/continue``: an answer with its tokens in full view, from any place in it.

What the page at ``/`` asks, and OpenAI's addresses cannot say: each token's id, what else could
have stood in its place, which tokens would end the answer, and that an answer is ``begun`` already
and goes on from there. The events, each JSON:

- first ``{"begun", "model", "prompt_tokens", "fingerprint"}``: the text of what is begun;
- then ``{"text", "tokens"}``, the tokens as ``{"id", "text", "log_prob", "top"}``, those in ``top``
  likewise, best first, and ``"ends": true`` on those that end an answer; natural logarithms, as
  the model gave them, before any dial;
- last ``{"ended", "usage", "receipt"}``: why, what it took, and the receipt's file as a string,
  or ``{"error"}`` in OpenAI's shape.

A model elsewhere tells no ids; its answers can be looked at and not gone on from.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.sampler.settings import Decoding
from studiolo.server.desk import Desk
from studiolo.server.replies import event
from studiolo.server.schema import takes
from studiolo.task.asking import Answer, Ended, Piece, Spelled, TextAsk
from studiolo.task.openai.chat import usage
from studiolo.task.openai.errors import body_of
from studiolo.task.openai.fields import MAX_TOP, NOTHING, Dials, Name, parse
from studiolo.task.openai.messages import Turn, conversation
from studiolo.task.text import LanguageModel

router = APIRouter(tags=["Studiolo"])


class ContinueBody(Dials):
    """``messages`` or ``prompt``, ``begun`` as token ids, and the dials of :class:`Decoding`."""

    model: Name | None = None
    messages: list[Turn] | None = Field(None, min_length=1)
    prompt: str | None = None
    begun: list[int] | None = Field(None, description="Token ids of the answer so far.")
    max_tokens: int | None = Field(None, ge=1)
    seed: int | None = Field(None, ge=0, lt=2**63)
    ignore_eos: bool | None = None
    log_probs: int = Field(10, ge=0, le=MAX_TOP, description="Alternatives to each token.")


@router.post("/studiolo/v1/continue", openapi_extra=takes(ContinueBody))
async def go_on(request: Request) -> Response:
    """Answer, or go on from an answer that is begun, with every token's alternatives."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(ContinueBody, await desk.body())
    ask = asked(body, desk.model(body.model))
    if ask.begun and ask.model in desk.studio.house.elsewhere:
        raise InvalidRequestError(
            "begun", f"{ask.model} answers elsewhere, and its token ids are not known here"
        )
    return await desk.stream(ask, lambda answer: _events(desk, ask, answer), _told)


def asked(body: ContinueBody, model: str) -> TextAsk:
    """What ``body`` asks of ``model``. Raises :class:`InvalidRequestError`."""
    if (body.messages is None) == (body.prompt is None):
        raise InvalidRequestError("messages", "or a prompt must be given, and not both")
    names = (*Decoding.model_fields, "max_tokens", "seed", "ignore_eos", "log_probs")
    given = {name: getattr(body, name) for name in names}
    return TextAsk(
        model=model,
        messages=None if body.messages is None else conversation(body.messages),
        prompt=body.prompt,
        begun=tuple(body.begun or ()),
        options={name: value for name, value in given.items() if value is not None},
    )


async def _events(desk: Desk, ask: TextAsk, answer: Answer) -> AsyncIterator[bytes]:
    house = desk.studio.house
    ends, begun = frozenset[int](), ""
    if ask.model not in house.elsewhere:
        async with house.use(ask.model) as opened:  # open already: it is answering
            if isinstance(opened, LanguageModel):
                ends, begun = opened.tokenizer.eos_ids, said(opened.tokenizer, ask.begun)
    yield event(
        {
            "begun": begun,
            "model": ask.model,
            "prompt_tokens": answer.prompt_tokens,
            "fingerprint": answer.fingerprint,
        }
    )
    reason = ""
    async for each in answer:
        if isinstance(each, Piece):
            tokens = [
                {**_written(token, ends), "top": [_written(other, ends) for other in token.top]}
                for token in each.scores
            ]
            yield event({"text": each.text, "tokens": tokens})
        elif isinstance(each, Ended):
            reason = each.reason
    receipt = answer.receipt()
    file = None if receipt is None else receipt.to_bytes().decode("ascii")
    yield event({"ended": reason, "usage": usage(answer.outcome), "receipt": file})


def said(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of an answer's tokens; half a character at its end is left to what follows."""
    spelled = b"".join(
        tokenizer.token_bytes(id)
        for id in ids
        if id < tokenizer.vocab_size and id not in tokenizer.control_ids
    )
    return codecs.getincrementaldecoder("utf-8")("replace").decode(spelled)


def _written(token: Spelled, ends: frozenset[int]) -> dict[str, Any]:
    written = {"id": token.id, "text": token.text, "log_prob": max(token.log_prob, NOTHING)}
    return {**written, "ends": True} if token.id in ends else written


def _told(error: Exception) -> bytes:
    return event(body_of(error))
