"""Prompts that are made before they are asked: to count them, or to go on from an answer begun.

An answer that a client has begun is plain text after what begins an answer in the model's chat
template, as ``continue_final_message`` of ``transformers`` has it: nothing in it becomes a control
token. The model must be one of this machine, for only those show their tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from studiolo.errors import InvalidRequestError
from studiolo.server.studio import Studio
from studiolo.task.asking import Message, TextAsk
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


async def continued(studio: Studio, ask: TextAsk) -> TextAsk:
    """``ask``; where the assistant spoke last, the answer is begun with what it said.

    Raises as :func:`language_model`, and :class:`InvalidRequestError` for one with tools.
    """
    said = _split(ask)
    if said is None:
        return ask
    if ask.tools and ask.tool_choice != "none":
        raise InvalidRequestError(
            "messages",
            "end with the assistant's, and an answer that is begun goes with no tools",
            remedy="End with the user's, or let no tool be called.",
        )
    messages, text = said
    async with language_model(studio, ask.model, "messages") as lm:
        begun = await asyncio.to_thread(lm.tokenizer.encode, text, add_special=False)
    return replace(ask, messages=messages, begun=begun, begun_text=text, tools=())


async def encoded(lm: LanguageModel, ask: TextAsk) -> tuple[int, ...]:
    """The token ids that ``ask`` begins with, its constraints and its options left aside.

    Of messages that end with the assistant's, up to where that ends.
    """
    messages, text = _split(ask) or (ask.messages, "")
    choice = "none" if ask.tool_choice == "none" else "auto"
    plain = replace(ask, messages=messages, tool_choice=choice, options={})

    def work() -> tuple[int, ...]:
        ids = prepared(lm, plain).request.prompt
        return (*ids, *lm.tokenizer.encode(text, add_special=False)) if text else ids

    return await asyncio.to_thread(work)


def _split(ask: TextAsk) -> tuple[Sequence[Message], str] | None:
    """The messages before the assistant's last, and its text; None where it is not the last."""
    if not ask.messages or ask.messages[-1]["role"] != "assistant":
        return None
    last = ask.messages[-1]
    return None if last.get("tool_calls") else (ask.messages[:-1], str(last["content"]))
