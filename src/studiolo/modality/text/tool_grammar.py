"""A grammar under which an answer calls tools rightly, in the words of a model's family.

The family's own name of the arguments is the one that is forced. Deliberately unknown here: models,
token ids, and how a grammar is enforced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tools import Tool, ToolFormat, argument_schemas

_HERMES_CALL = 'wrapped: "<tool_call>\\n" call "\\n</tool_call>"\n'
_FREE = "TEXT: /(?s:.*)/\n"
_BARE = {
    "one": "start: call\n",
    "required": "start: call\n",
    "auto": "start: call | PLAIN\nPLAIN: /[^ \\n\\t{`](?s:.*)/\n",
}
_START: Mapping[str, Mapping[str, str]] = {
    "hermes": {
        "one": f"start: wrapped\n{_HERMES_CALL}",
        "required": f'start: wrapped ("\\n" wrapped)*\n{_HERMES_CALL}',
        "auto": "start: (begun rest)* TEXT\n"
        'begun[lazy]: /(?s:.*)<tool_call>/\nrest: "\\n" call "\\n</tool_call>"\n' + _FREE,
    },
    "mistral": {
        "one": 'start: "[" call "]"\n',
        "required": 'start: "[" call (", " call)* "]"\n',
        "auto": 'start: "[" call (", " call)* "]" | PLAIN\nPLAIN: /[^ \\n\\t\\[](?s:.*)/\n',
    },
    "llama3": _BARE,
    "gemma": _BARE,
}


def call_grammar(
    tools: Sequence[Tool], choice: str, form: ToolFormat, *, answer: str | None = None
) -> str:
    """A Lark grammar under which an answer calls ``tools`` rightly.

    ``choice``: ``"required"`` (a call, or several where the format has a way to say so),
    ``"auto"`` (text, or calls; one that begins with the format's marker or opener is right),
    or the name of one tool, called once. ``answer``: JSON text of the schema that an answer has
    which is no call, where the choice is ``"auto"``. Raises :class:`InvalidRequestError` for
    another choice.
    """
    schemas = argument_schemas(tools)
    if choice in schemas:
        schemas, rule = {choice: schemas[choice]}, "one"
    elif choice in ("required", "auto"):
        rule = choice
    else:
        raise InvalidRequestError(
            "tool_choice",
            f"{choice!r:.80} is neither auto, required nor a tool",
            remedy=f"The tools are {', '.join(schemas)}.",
        )
    if answer is not None and rule == "auto":
        calls = _START[form.name]["required"].replace("start:", "calls:", 1)
        lines = [f"start: answer | calls\nanswer: %json {answer}\n{calls}"]
    else:
        lines = [_START[form.name][rule]]
    lines.append("call: " + " | ".join(f"call{number}" for number in range(len(schemas))))
    for number, (name, schema) in enumerate(schemas.items()):
        before = f'{{"name": {json.dumps(name)}, "{form.key}": '
        lines.append(f'call{number}: {json.dumps(before)} %json {json.dumps(schema)} "}}"')
    return "\n".join(lines) + "\n"
