"""Tools for a model whose chat template knows none: told in words, in the format of Hermes.

Offered tools become part of the system message; calls and their results become text as models
trained on that format write them. A conversation without tools is left as it is. For templates
that know tools nothing of this is needed; :func:`knows_tools` tells them apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

Message = Mapping[str, object]

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
    """The conversation with ``tools`` offered and every call and result written out."""
    told = [_written_out(message) for message in messages]
    if not tools:
        return told
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    offer = _OFFER.format(tools=listed)
    if told and told[0].get("role") in ("system", "developer"):
        first = {**told[0], "content": f"{told[0].get('content')}\n\n{offer}"}
        return [first, *told[1:]]
    return [{"role": "system", "content": offer}, *told]


def _written_out(message: Message) -> Message:
    if message.get("role") == "tool":
        text = f"<tool_response>\n{message.get('content')}\n</tool_response>"
        return {"role": "user", "content": text}
    calls = message.get("tool_calls")
    if not isinstance(calls, Sequence) or not calls:
        return message
    parts = [str(message["content"])] if message.get("content") else []
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            said = {"name": function.get("name"), "arguments": function.get("arguments")}
            parts.append(f"<tool_call>\n{json.dumps(said, ensure_ascii=False)}\n</tool_call>")
    return {"role": message["role"], "content": "\n".join(parts)}
