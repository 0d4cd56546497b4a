"""Prompts of native bodies, in which the client itself writes the model's control tokens.

``<|begin_of_text|>``, ``[INST]`` and their like stand in every example of these bodies, so they are
read as tokens; everywhere else what looks like one is text. A client that puts others' words into
such a prompt must see to them itself: ``Converse`` does that for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from studiolo.server.studio import Studio
from studiolo.task.asking import TextAsk
from studiolo.task.text import LanguageModel


async def tokenised(studio: Studio, ask: TextAsk) -> TextAsk:
    """``ask`` with its prompt as token ids. Raises what :meth:`House.load` does.

    One for a model elsewhere stays text, and so does one for a model that makes no texts, which
    is refused when it is asked.
    """
    text = ask.prompt
    if not isinstance(text, str) or ask.model in studio.house.elsewhere:
        return ask
    async with studio.house.use(ask.model) as opened:
        if not isinstance(opened, LanguageModel):
            return ask
        tokenizer = opened.tokenizer
        ids = await asyncio.to_thread(tokenizer.encode, text, parse_special=True)
        if tokenizer.adds_bos and ids[1:2] == [tokenizer.bos_id]:
            del ids[0]  # the client has written it
    return replace(ask, prompt=ids)
