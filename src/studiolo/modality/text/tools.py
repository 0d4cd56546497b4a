"""How models write calls of tools: reading them out of a text, and a grammar that forces them.

A call is a JSON object with a name and arguments; families differ in what stands around it:

========  ==============================================  ===========================
format    one call                                        models
========  ==============================================  ===========================
hermes    ``<tool_call>{"name", "arguments"}</tool_call>``  Qwen 2.5 and 3, SmolLM, Hermes
llama3    ``{"name", "parameters"}``, several by ``;``      Llama 3.1 to 3.3
mistral   ``[TOOL_CALLS][{"name", "arguments"}, …]``        Mistral, Mixtral
gemma     ``{"name", "parameters"}``, bare or fenced        Gemma (it has no tokens for it)
========  ==============================================  ===========================

Notable choices. *Only a call of an offered tool is a call*; everything else, broken JSON and
unknown names too, is text and shown as it is: nothing is lost, and an answer that happens to
be JSON stays an answer. *Markers that are control tokens may be missing*: they are no text, so
a bare value at the beginning counts as well. *Both names of the arguments are read*, since
models mix them up; the family's own is the one that is forced.

Deliberately unknown here: models, token ids, and how a grammar is enforced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from studiolo.errors import InvalidRequestError

Tool = Mapping[str, object]
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class ToolCall:
    """One call; ``arguments`` are plain JSON values by name."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class ToolFormat:
    """What stands around a call.

    ``markers`` begin a value anywhere, ``closing`` may follow it; ``bare``: a value may also
    begin the text, or follow another, without a marker; ``opener``: its first character;
    ``key``: what arguments are called.
    """

    name: str
    markers: tuple[str, ...]
    closing: str
    bare: bool
    opener: Literal["{", "["]
    key: Literal["arguments", "parameters"]


HERMES = ToolFormat("hermes", ("<tool_call>",), "</tool_call>", False, "{", "arguments")
LLAMA3 = ToolFormat("llama3", ("<|python_tag|>",), ";", True, "{", "parameters")
MISTRAL = ToolFormat("mistral", ("[TOOL_CALLS]",), "", True, "[", "arguments")
GEMMA = ToolFormat("gemma", ("```json", "```tool_code"), "```", True, "{", "parameters")
FORMATS = (HERMES, LLAMA3, MISTRAL, GEMMA)


def tool_format(template: str | None) -> ToolFormat:
    """The format that a chat template shows its model; Hermes's where it shows none."""
    signs = (
        ("<tool_call>", HERMES),
        ("[TOOL_CALLS]", MISTRAL),
        ("<|start_header_id|>", LLAMA3),
        ("<start_of_turn>", GEMMA),
    )
    return next((found for sign, found in signs if sign in (template or "")), HERMES)


def tool_names(tools: Sequence[Tool]) -> list[str]:
    """The names of ``tools``, OpenAI's form (``{"type": "function", "function": …}``) or bare.

    Raises :class:`InvalidRequestError` for what is no tool, a name twice, or none at all.
    """
    return list(_schemas(tools))


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
    schemas = _schemas(tools)
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


def _schemas(tools: Sequence[Tool]) -> dict[str, dict[str, Any]]:
    """The schema of each tool's arguments, an object's, by name."""
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Sequence) or not tools:
        raise InvalidRequestError("tools", "must be a list of at least one tool")
    found: dict[str, dict[str, Any]] = {}
    for number, tool in enumerate(tools):
        inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(name, str):
            raise InvalidRequestError("tools", f"tool {number} has no name")
        if not _NAME.fullmatch(name) or name in found or name in ("auto", "required", "none"):
            raise InvalidRequestError(
                "tools",
                f"tool {number} cannot be called {name!r:.80}",
                remedy="A name is up to 64 letters, digits, and _ . -; each tool has its own.",
            )
        schema = inner.get("parameters")
        if schema is None:
            schema = {"additionalProperties": False}
        if not isinstance(schema, Mapping) or schema.get("type", "object") != "object":
            raise InvalidRequestError("tools", f"the parameters of {name!r} are no object's schema")
        found[name] = {**schema, "type": "object"}
    return found


@dataclass
class ToolCallReader:
    """Reads calls out of a text that arrives in pieces.

    Whatever the pieces, all text given out joined, and all calls, are the same. Held back is
    only what could be, or is, part of a call.
    """

    form: ToolFormat
    names: Collection[str]
    _held: str = ""
    _raw: list[str] = field(default_factory=list)
    _mode: Literal["start", "text", "value", "after"] = "start"
    _scan: _Scan = field(default_factory=lambda: _Scan())

    @property
    def settled(self) -> bool:
        """Whether the text so far ends with a whole call, or with what closes one."""
        return self._mode == "after"

    def read(self, piece: str, *, last: bool = False) -> list[str | ToolCall]:
        """Text that is no call, and calls that are complete, in their order.

        ``last``: no more will follow, so that nothing is held back.
        """
        self._held += piece
        parts = self._go(last=last)
        if last:
            rest, self._raw, self._held = "".join(self._raw) + self._held, [], ""
            parts.append(rest if self._mode != "after" else "")
        return [part for part in parts if part != ""]

    def push(self, piece: str) -> tuple[str, list[ToolCall]]:
        """As :meth:`read`, the text and the calls apart."""
        return _apart(self.read(piece))

    def flush(self) -> tuple[str, list[ToolCall]]:
        """What was held back, when no text will follow."""
        return _apart(self.read("", last=True))

    def _go(self, *, last: bool) -> list[str | ToolCall]:
        parts: list[str | ToolCall] = []
        while True:
            before = (self._mode, len(self._held))
            if self._mode == "start":
                self._begin(last=last)
            elif self._mode == "text":
                parts.append(self._text(last=last))
            elif self._mode == "value":
                parts += self._value()
            else:
                self._after(last=last)
            if before == (self._mode, len(self._held)):
                return parts

    def _begin(self, *, last: bool) -> None:
        """Where a value may begin without a marker."""
        content = self._held.lstrip()
        marked = any(content.startswith(marker) for marker in self.form.markers)
        if self.form.bare and not marked:
            if not last and any(marker.startswith(content) for marker in self.form.markers):
                return  # a marker may begin as a value does
            if not content:
                return
        if self.form.bare and not marked and content[0] == self.form.opener:
            self._mode, self._raw, self._scan = "value", [], _Scan()
        else:
            self._mode = "text"

    def _text(self, *, last: bool) -> str:
        found = [(at, m) for m in self.form.markers if (at := self._held.find(m)) >= 0]
        if found:
            at, marker = min(found)
            shown, self._held = self._held[:at], self._held[at + len(marker) :]
            self._mode, self._raw, self._scan = "value", [marker], _Scan()
            return shown
        safe = len(self._held) if last else _safe(self._held, self.form.markers)
        shown, self._held = self._held[:safe], self._held[safe:]
        return shown

    def _value(self) -> Sequence[str | ToolCall]:
        """Take up more of a value; when it is whole, calls or the text it turned out to be."""
        size = self._scan.take(self._held, self.form.opener)
        self._raw.append(self._held[:size])
        self._held = self._held[size:]
        if self._scan.state == "open":
            return []
        raw, self._raw = "".join(self._raw), []
        calls = self._read(raw) if self._scan.state == "closed" else []
        self._mode = "after" if calls else "text"
        return calls or [raw]

    def _read(self, raw: str) -> list[ToolCall]:
        for marker in self.form.markers:
            raw = raw.removeprefix(marker)
        try:
            value = json.loads(raw)
            # Whoever is called must be able to read it: no NaN, no infinity, no half a character.
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return []
        values = value if isinstance(value, list) else [value]
        calls = [_call(each, self.names) for each in values]
        return [call for call in calls if call is not None] if all(calls) else []

    def _after(self, *, last: bool) -> None:
        """Skip what closes a value, and space around it."""
        content = self._held.lstrip()
        closing = self.form.closing
        if closing and content.startswith(closing):
            self._held = content[len(closing) :].lstrip()
        elif not closing.startswith(content):
            self._mode, self._held = "start", content
        elif last:  # cut short in what closes the call, which is no text
            self._held = ""


@dataclass
class _Scan:
    """Finds the end of one JSON object or array, a character at a time."""

    state: Literal["open", "closed", "none"] = "open"
    depth: int = 0
    quoted: bool = False
    escaped: bool = False

    def take(self, text: str, opener: str) -> int:
        """How many characters of ``text`` belong to the value."""
        for at, character in enumerate(text):
            if self.escaped:
                self.escaped = False
            elif self.quoted:
                self.escaped = character == "\\"
                self.quoted = character != '"'
            elif self.depth == 0 and character != opener:
                if not character.isspace():
                    self.state = "none"
                    return at
            elif character == '"':
                self.quoted = True
            elif character in "{[":
                self.depth += 1
            elif character in "}]":
                self.depth -= 1
                if self.depth == 0:
                    self.state = "closed"
                    return at + 1
        return len(text)


def read_calls(text: str, form: ToolFormat, names: Collection[str]) -> tuple[str, list[ToolCall]]:
    """The text without its calls of ``names``, and the calls."""
    return _apart(ToolCallReader(form, names).read(text, last=True))


def _call(value: object, names: Collection[str]) -> ToolCall | None:
    if not isinstance(value, dict):
        return None
    name, arguments = value.get("name"), value.get("arguments", value.get("parameters", {}))
    if not isinstance(name, str) or name not in names or not isinstance(arguments, dict):
        return None
    return ToolCall(name, arguments)


def _apart(parts: Sequence[str | ToolCall]) -> tuple[str, list[ToolCall]]:
    text = "".join(part for part in parts if isinstance(part, str))
    return text, [part for part in parts if isinstance(part, ToolCall)]


def _safe(text: str, markers: Sequence[str]) -> int:
    """How much of ``text`` is surely before any marker."""
    longest = max(map(len, markers))
    for at in range(max(0, len(text) - longest + 1), len(text)):
        if any(marker.startswith(text[at:]) for marker in markers):
            return at
    return len(text)
