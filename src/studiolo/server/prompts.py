"""Prompts that are made before they are asked: to count them, or to go on from an answer begun.

An answer that a client has begun is plain text after what begins an answer in the model's chat
template, as ``continue_final_message`` of ``transformers`` has it: nothing in it becomes a control
token. The model must be one of this machine, for only those show their tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from studiolo.errors import InvalidRequestError
from studiolo.server.studio import Studio
from studiolo.task.asking import TextAsk
from studiolo.task.telling import prepared
from studiolo.task.text import LanguageModel


@asynccontextmanager
async def language_model(studio: Studio, name: str, field: str) -> AsyncIterator[LanguageModel]:
    """The model of that name, open until the end.

    Raises what :meth:`House.load` does, and :class:`InvalidRequestError` for one that makes no
    texts, or answers elsewhere; of the latter ``field`` says what asked for more.
    """
    if name in studio.house.elsewhere:
        raise InvalidRequestError(
            field,
            f"cannot be done for {name}, which answers elsewhere: its tokens are not known here",
            remedy="Leave it out, or name a model of this machine.",
        )
    async with studio.house.use(name) as opened:
        if not isinstance(opened, LanguageModel):
            raise InvalidRequestError(
                "model", f"{name} makes vectors, not texts", remedy="Name another model."
            )
        yield opened


async def encoded(lm: LanguageModel, ask: TextAsk) -> tuple[int, ...]:
    """The token ids that ``ask`` begins with, its constraints and its options left aside.

    Of messages that end with the assistant's, up to where that ends.
    """
    messages, begun = ask.messages, ""
    if messages and messages[-1]["role"] == "assistant" and not messages[-1].get("tool_calls"):
        messages, begun = messages[:-1], str(messages[-1]["content"])
    choice = "none" if ask.tool_choice == "none" else "auto"
    plain = replace(ask, messages=messages, tool_choice=choice, options={})

    def work() -> tuple[int, ...]:
        ids = prepared(lm, plain).request.prompt
        return (*ids, *lm.tokenizer.encode(begun, add_special=False)) if begun else ids

    return await asyncio.to_thread(work)
