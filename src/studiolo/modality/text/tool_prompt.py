"""Tools for a model whose chat template knows none: told in words, in the format of Hermes.

Offered tools become part of the system message; calls and their results become text as models
trained on that format write them. A conversation without tools is left as it is. For templates
that know tools nothing of this is needed; :func:`knows_tools` tells them apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]

_OFFER = """You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> tags:
<tools>
{tools}
</tools>

For each function call, return a JSON object with the function name and arguments within \
<tool_call></tool_call> tags:
<tool_call>
{{"name": <function-name>, "arguments": <arguments as a JSON object>}}
</tool_call>"""


def knows_tools(template: str | None) -> bool:
    """Whether a chat template does anything with tools."""
    return template is not None and "tools" in template


def told_in_words(messages: Sequence[Message], tools: Sequence[Message]) -> list[Message]:
    """The conversation with ``tools`` offered and every call and result written out.

    Messages are such that a chat template takes them. The results of one turn are one message of
    the user's: many templates insist that the two take turns.
    """
    told: list[Message] = []
    answering = False
    for message in messages:
        if message["role"] != "tool":
            answering = False
            calls = message.get("tool_calls")
            told.append(_called(message, calls) if calls else message)
            continue
        result = f"<tool_response>\n{_text(message['content'])}\n</tool_response>"
        if answering:
            result = f"{told.pop()['content']}\n{result}"
        told.append({"role": "user", "content": result})
        answering = True
    if not tools:
        return told
    offer = _OFFER.format(tools="\n".join(map(_json, tools)))
    if told and told[0]["role"] in ("system", "developer"):
        said = _text(told[0]["content"])
        return [{**told[0], "content": f"{said}\n\n{offer}" if said else offer}, *told[1:]]
    return [{"role": "system", "content": offer}, *told]


def _called(message: Message, calls: object) -> Message:
    """The assistant's message with its calls as text."""
    said = _text(message.get("content"))
    parts = [said] if said else []
    for call in calls if isinstance(calls, Sequence) else ():
        inner = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(inner, Mapping):
            continue
        arguments = inner.get("arguments", {})
        # OpenAI's own form is JSON in a string.
        spelled = arguments if isinstance(arguments, str) else _json(arguments)
        call_text = f'{{"name": {_json(inner.get("name"))}, "arguments": {spelled}}}'
        parts.append(f"<tool_call>\n{call_text}\n</tool_call>")
    rest = {name: value for name, value in message.items() if name != "tool_calls"}
    return {**rest, "content": "\n".join(parts)}


def _text(content: object) -> str:
    """The text of a message, its parts joined; what is no text is left out."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
