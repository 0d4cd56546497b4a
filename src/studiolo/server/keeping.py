"""What is kept of an answer when it is over: prompt, output and receipt, as the policy says.

The same for every dialect, so that whoever reads the records need not know which was spoken. An
answer that cannot be kept though it should be ends in an error: a record with holes is none. Every
receipt is entered into the log of receipts, too, where it stays when it is deleted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from studiolo.record.contents import Contents
from studiolo.server.context import Context
from studiolo.task.asking import Answer, Choice, TextAsk


async def keep(
    contents: Contents,
    context: Context,
    ask: TextAsk,
    choices: Sequence[Choice],
    answer: Answer,
    notes: Mapping[str, Any],
) -> None:
    """Keep what is to be kept of ``answer``, which is over; ``notes`` go beside its ``choices``."""
    policy = contents.policy
    if not policy.contents and not policy.receipts:
        return
    receipt = answer.receipt() if policy.receipts else None
    if receipt is not None:
        texts = [each.text for each in choices if each.text]
        await asyncio.to_thread(contents.log.note, receipt, texts)
    await asyncio.to_thread(
        contents.put,
        context.id,
        key=context.caller.id or None,
        user=context.user,
        prompt=prompt_of(ask) if policy.contents else None,
        output={"choices": [written(each) for each in choices], **notes}
        if policy.contents
        else None,
        receipt=None if receipt is None else receipt.to_bytes(),
    )


def prompt_of(ask: TextAsk) -> dict[str, Any]:
    """What was asked, in OpenAI's words; and what of the answer was ``begun`` already."""
    begun: dict[str, Any] = {}
    if ask.begun:
        begun["begun"] = list(ask.begun) if ask.begun_text is None else ask.begun_text
    if ask.messages is not None:
        tools = {"tools": list(ask.tools)} if ask.tools else {}
        return {"messages": list(ask.messages), **tools, **begun}
    suffix = {} if ask.suffix is None else {"suffix": ask.suffix}
    every = [
        each if isinstance(each, str) else list(each or ()) for each in (ask.prompt, *ask.others)
    ]
    return {"prompt": every if ask.others else every[0], **suffix, **begun}


def written(choice: Choice) -> dict[str, Any]:
    """A sample, with its calls as a conversation holds them."""
    calls = [
        {
            "id": each.id,
            "type": "function",
            "function": {"name": each.call.name, "arguments": each.call.arguments},
        }
        for each in choice.calls
    ]
    return {
        "index": choice.index,
        "text": choice.text,
        **({"tool_calls": calls} if calls else {}),
        "finish_reason": choice.reason,
    }
