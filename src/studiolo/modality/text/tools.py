"""How models write calls of tools, and reading them out of a text.

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
models mix them up. *A fenced block that is the whole answer* counts with Hermes too, if it holds
nothing but names and arguments: Qwen2.5-Coder often writes its calls so, whatever its template
asks for.

Deliberately unknown here: models, and token ids.
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
_FENCE = re.compile(r"\s{0,64}```(?:json)?\s{0,64}(?=[{\[])")
_HALF_A_FENCE = re.compile(r"\s{0,64}(?:`{0,3}|```j|```js|```jso|```(?:json)?\s{0,64})")
_END = re.compile(r"\s{0,64}```\s{0,64}")
_HALF_AN_END = re.compile(r"\s{0,64}(?:`{0,2}|```\s{0,64})")


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
    ``key``: what arguments are called. ``fenced``: a block of code that is the whole text counts.
    """

    name: str
    markers: tuple[str, ...]
    closing: str
    bare: bool
    opener: Literal["{", "["]
    key: Literal["arguments", "parameters"]
    fenced: bool = False


HERMES = ToolFormat("hermes", ("<tool_call>",), "</tool_call>", False, "{", "arguments", True)
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
    return list(argument_schemas(tools))


def argument_schemas(tools: Sequence[Tool]) -> dict[str, dict[str, Any]]:
    """The schema of each tool's arguments, an object's, by name. Raises as :func:`tool_names`."""
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
    _mode: Literal["start", "text", "value", "fence", "after"] = "start"
    _opener: str = ""
    _fenced: bool = False  # the value, in a block that began the text
    _begun: bool = False  # the text, with something else than a block
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
                parts += self._value(last=last)
            elif self._mode == "fence":
                parts += self._end_fence(last=last)
            else:
                self._after(last=last)
            if before == (self._mode, len(self._held)):
                return parts

    def _begin(self, *, last: bool) -> None:
        """Where a value may begin without a marker."""
        if self.form.fenced and not self._begun:
            self._begin_fence(last=last)
            return
        content = self._held.lstrip()
        marked = any(content.startswith(marker) for marker in self.form.markers)
        if self.form.bare and not marked:
            if not last and any(marker.startswith(content) for marker in self.form.markers):
                return  # a marker may begin as a value does
            if not content:
                return
        if self.form.bare and not marked and content[0] == self.form.opener:
            self._value_begins([], self.form.opener)
        else:
            self._mode = "text"

    def _begin_fence(self, *, last: bool) -> None:
        """Where the whole text may be one block of code; later ones are text."""
        if (found := _FENCE.match(self._held)) is not None:
            self._fenced, self._held = True, self._held[found.end() :]
            self._value_begins([found[0]], self._held[0])
        elif last or not _HALF_A_FENCE.fullmatch(self._held):
            self._begun, self._mode = True, "text"

    def _end_fence(self, *, last: bool) -> Sequence[str | ToolCall]:
        """After the calls of a block, which are some if the text ends with it."""
        if last and _END.fullmatch(self._held):
            calls = self._fenced_calls()
            self._mode, self._raw, self._held = "after", [], ""
            return calls
        if last or not _HALF_AN_END.fullmatch(self._held):
            self._no_block()
        return []

    def _fenced_calls(self) -> list[ToolCall]:
        return self._read("".join(self._raw[1:]), exactly={"name", "arguments"})

    def _no_block(self) -> None:
        """What was taken for a block is text, in which calls may yet stand."""
        self._held, self._raw = "".join(self._raw) + self._held, []
        self._fenced, self._begun, self._mode = False, True, "text"

    def _value_begins(self, raw: list[str], opener: str) -> None:
        self._mode, self._raw, self._opener, self._scan = "value", raw, opener, _Scan()

    def _text(self, *, last: bool) -> str:
        found = [(at, m) for m in self.form.markers if (at := self._held.find(m)) >= 0]
        if found:
            at, marker = min(found)
            shown, self._held = self._held[:at], self._held[at + len(marker) :]
            self._value_begins([marker], self.form.opener)
            return shown
        safe = len(self._held) if last else _safe(self._held, self.form.markers)
        shown, self._held = self._held[:safe], self._held[safe:]
        return shown

    def _value(self, *, last: bool) -> Sequence[str | ToolCall]:
        """Take up more of a value; when it is whole, calls or the text it turned out to be."""
        size = self._scan.take(self._held, self._opener)
        self._raw.append(self._held[:size])
        self._held = self._held[size:]
        if self._fenced and self._scan.state == "closed" and self._fenced_calls():
            self._mode = "fence"
            return []
        if self._fenced and (last or self._scan.state != "open"):
            self._no_block()
            return []
        if self._scan.state == "open":
            return []
        raw, self._raw = "".join(self._raw), []
        calls = self._read(raw) if self._scan.state == "closed" else []
        self._mode = "after" if calls else "text"
        return calls or [raw]

    def _read(self, raw: str, exactly: Collection[str] | None = None) -> list[ToolCall]:
        """The calls that ``raw`` is; ``exactly``: the names in each of them."""
        for marker in self.form.markers:
            raw = raw.removeprefix(marker)
        try:
            value = json.loads(raw)
            # Whoever is called must be able to read it: no NaN, no infinity, no half a character.
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return []
        values = value if isinstance(value, list) else [value]
        if exactly is not None and any(
            not isinstance(v, dict) or set(v) != exactly for v in values
        ):
            return []
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
