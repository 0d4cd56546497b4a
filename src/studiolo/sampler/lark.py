"""A Lark grammar looked through before the library that enforces it sees it.

The library (llguidance) takes a dialect of Lark with ways out of our rules: named control
tokens, options that hide or take back text, settings that make it lenient. They are refused
here by name. Schemas within a grammar (``%json``) are checked as any schema. Rules that can
never end are found, as are grammars deep enough to overflow the library's stack.

Notable choice: whether a grammar is right beyond that is the library's to say; the reader
here is only as strict as it must be, and what it cannot read it passes on.

This module does not know tokens, nor the library.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise

from studiolo.errors import InvalidRequestError
from studiolo.sampler import json_schema

FIELD = "grammar"
MAX_CHARACTERS = 100_000
MAX_LEVELS = 600
"""Definitions, each counted once and once more for every bracket level within: a bound on the
depth to which the library can recurse, at about a sixth of what overflows a stack of 8 MiB."""
REFUSED = {
    "special": "control tokens cannot be asked for",
    "reference": "other grammars cannot be referred to",
    "%llguidance": "the engine's settings cannot be changed",
    "%declare": "what is declared must be defined",
}
OPTIONS = ("stop", "stop_capture", "max_tokens", "temperature")
"""Options of a rule that take back text or change how a token is drawn."""

_LEXEMES = re.compile(
    r"""(?P<skip>(?:\#|//)[^\n]*|[ \t\r]+)
    |(?P<newline>\n)
    |(?P<string>"(?:\\.|[^"\\\n])*"i?)
    |(?P<regexp>/(?:\\.|[^/\\])+/[imslux]*)
    |(?P<directive>%[a-z]+)
    |(?P<special><[^<>\s]+>)
    |(?P<reference>@[{}a-zA-Z0-9_\-]*)
    |(?P<name>!?[_?]?[a-z][_a-z0-9\-]*|_?[A-Z][_A-Z0-9\-]*)
    |(?P<number>[+-]?[0-9]+(?:\.(?!\.)[0-9]*)?)
    |(?P<mark>->|\.\.|[:,.=(){}\[\]~|+*?&])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class _Lexeme:
    kind: str
    text: str


def prepare(source: str) -> str:
    """The grammar to hand to the library.

    Raises :class:`InvalidRequestError` for what is refused, too deep, or can never end.
    """
    if not source.strip():
        raise InvalidRequestError(FIELD, "is empty", remedy="Define at least the rule `start`.")
    if len(source) > MAX_CHARACTERS:
        raise InvalidRequestError(
            FIELD, f"{len(source):,} characters are more than the {MAX_CHARACTERS:,} allowed"
        )
    prepared, lexemes = _read(source)
    _refuse(lexemes)
    definitions = _definitions(lexemes)
    levels = sum(1 + _nesting(body) for _, body in definitions)
    if levels > MAX_LEVELS:
        raise InvalidRequestError(
            FIELD,
            f"{len(definitions):,} definitions with their brackets are {levels:,} levels; "
            f"{MAX_LEVELS:,} can be compiled",
            remedy="Join definitions, and use brackets only where they matter.",
        )
    _check_ends(definitions)
    return prepared


def _read(source: str) -> tuple[str, list[_Lexeme]]:
    """The source with every schema in it prepared, and its lexemes."""
    out, lexemes, at, decoder = [], [], 0, json.JSONDecoder()
    while at < len(source):
        match = _LEXEMES.match(source, at)
        if match is None:  # cannot be: the last alternative takes anything
            break
        kind, text, at = str(match.lastgroup), match[0], match.end()
        out.append(text)
        if kind == "directive" and text in ("%json", "%regex"):
            start = at + len(source[at:]) - len(source[at:].lstrip())
            try:
                _, end = decoder.raw_decode(source, start)
            except (ValueError, RecursionError):
                raise InvalidRequestError(FIELD, f"what follows {text} is not JSON") from None
            inside = source[start:end]
            if text == "%json":
                inside = json.dumps(json_schema.prepare(inside, FIELD))
            out.append(f" {inside}")
            lexemes.append(_Lexeme("value", text))
            at = end
        elif kind != "skip":
            lexemes.append(_Lexeme(kind, text))
    return "".join(out), lexemes


def _refuse(lexemes: list[_Lexeme]) -> None:
    for lexeme, following in pairwise([*lexemes, _Lexeme("end", "")]):
        why = REFUSED.get(lexeme.kind) or REFUSED.get(lexeme.text)
        if why is not None and lexeme.kind in ("special", "reference", "directive"):
            raise InvalidRequestError(FIELD, f"{lexeme.text[:60]!r}: {why}")
        if lexeme.kind == "name" and lexeme.text in OPTIONS and following.text == "=":
            raise InvalidRequestError(
                FIELD,
                f"the option {lexeme.text!r} cannot be used",
                remedy="`lazy` and `suffix` can; max_tokens and stop are arguments of a request.",
            )


Definition = tuple[str, list[_Lexeme]]


def _definitions(lexemes: list[_Lexeme]) -> list[Definition]:
    """Each rule and terminal with the lexemes after its colon."""
    found: list[Definition] = []
    line: list[_Lexeme] = []
    depth = 0
    for place, lexeme in enumerate([*lexemes, _Lexeme("newline", "\n")]):
        if lexeme.kind != "newline":
            line.append(lexeme)
            depth += _step(lexeme)
            continue
        if depth > 0 and place < len(lexemes):
            continue
        following = next((each for each in lexemes[place + 1 :] if each.kind != "newline"), None)
        if following is not None and following.text == "|":
            continue  # the definition goes on in the next line
        head = _head(line)
        if head is not None:
            found.append(head)
        line, depth = [], 0
    return found


def _head(line: list[_Lexeme]) -> Definition | None:
    if not line or line[0].kind != "name":
        return None
    colon = next((i for i, lexeme in enumerate(line) if lexeme.text == ":"), None)
    return None if colon is None else (line[0].text.lstrip("!?"), line[colon + 1 :])


def _nesting(body: list[_Lexeme]) -> int:
    depth = deepest = 0
    for lexeme in body:
        depth += _step(lexeme)
        deepest = max(deepest, depth)
    return deepest


def _step(lexeme: _Lexeme) -> int:
    return (lexeme.text in ("(", "[")) - (lexeme.text in (")", "]"))


def _check_ends(definitions: list[Definition]) -> None:
    """Raise unless every definition can come to an end, as far as can be told."""
    bodies = dict(definitions)
    defined, ends = set(bodies), set[str]()
    waiting, before = [*bodies], -1
    while len(ends) > before:
        before = len(ends)
        for name in reversed(waiting):  # what is used is mostly defined after its use
            if _Ends(bodies[name], ends, defined).alternatives():
                ends.add(name)
        waiting = [name for name in reversed(waiting) if name not in ends]
    for name in bodies:
        if name not in ends:
            raise InvalidRequestError(
                FIELD,
                f"no text ever completes {name[:60]!r}: every way through it leads back to it",
                remedy="Give it an alternative that does not need itself.",
            )


class _Ends:
    """Reads one body; whether something finite matches it, given the names that end."""

    def __init__(self, body: list[_Lexeme], ends: set[str], defined: set[str]) -> None:
        self._body, self._ends, self._defined, self._at = body, ends, defined, 0

    def _peek(self) -> str:
        return self._body[self._at].text if self._at < len(self._body) else ""

    def alternatives(self) -> bool:
        """Whether one of the alternatives from here on can end."""
        possible = self._sequence()
        while self._peek() == "|":
            self._at += 1
            possible = self._sequence() or possible
        return possible

    def _sequence(self) -> bool:
        possible = True
        while self._at < len(self._body) and self._peek() not in ("|", ")", "]"):
            possible = self._item() and possible
        return possible

    def _item(self) -> bool:
        lexeme = self._body[self._at]
        self._at += 1
        if lexeme.text in ("(", "["):
            possible = self.alternatives() or lexeme.text == "["
            self._at += 1
        elif lexeme.kind == "name":
            name = lexeme.text.lstrip("!?")
            possible = name in self._ends or name not in self._defined
        else:
            possible = True
        return self._optional() or possible

    def _optional(self) -> bool:
        """Whether what stands before may be left out; steps over the sign that says so."""
        sign = self._peek()
        if sign in ("?", "*"):
            self._at += 1
            return True
        if sign in ("{", "~") and self._at + 1 < len(self._body):
            return self._body[self._at + 1].text in ("0", ",")
        return False
