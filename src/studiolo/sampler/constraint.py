"""What a generated text must be: a JSON value of a schema, a match, a sentence, a choice.

A constraint is a value: its kind and its source as text, so that it can be compared, kept in
a receipt, and asked for before any model is loaded. How it is enforced token by token is
``guide``. Everything that cannot be enforced to the letter is refused here or there with an
error that names the argument; nothing is ever ignored.

This module does not know tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from studiolo.errors import InvalidRequestError
from studiolo.sampler import json_schema as schemas
from studiolo.sampler import lark

Kind = Literal["json_schema", "regex", "grammar", "choices"]
KINDS: tuple[Kind, ...] = ("json_schema", "regex", "grammar", "choices")
MAX_REGEX = 10_000
MAX_UNROLLED = 20_000
"""Parts of an expression written out: what llguidance still compiles without stalling."""
MAX_CHOICES = 10_000
MAX_CHOICE_CHARACTERS = 200_000

_UNFORCED = '\n%llguidance {"no_forcing": true}\n'
"""Else llguidance writes out what must come next, which of ``/a+/ "a"`` has no end: a lexeme
takes all it can, so that the second never comes."""

_ESCAPED = re.compile(r"\\.|/", re.DOTALL)
_ASCII = {
    "/": r"\x2f",
    r"\d": "[0-9]",
    r"\D": "[^0-9]",
    r"\w": "[0-9A-Za-z_]",
    r"\W": "[^0-9A-Za-z_]",
}


@dataclass(frozen=True)
class Constraint:
    """What is asked. ``source``: JSON text of a schema or of a list of choices, else as given."""

    kind: Kind
    source: str

    @classmethod
    def asked(
        cls,
        *,
        json_schema: object = None,
        regex: object = None,
        grammar: object = None,
        choices: object = None,
    ) -> Constraint | None:
        """The one constraint that was asked for; None if none was.

        ``json_schema``: a mapping, a boolean, or JSON text. ``regex``: an expression that the
        whole text matches. ``grammar``: Lark, beginning at the rule ``start``. ``choices``:
        texts, one of which is the whole. Raises :class:`InvalidRequestError` for two of them
        and for what is of the wrong type.
        """
        given = dict(zip(KINDS, (json_schema, regex, grammar, choices), strict=True))
        named: list[Kind] = [kind for kind in KINDS if given[kind] is not None]
        if not named:
            return None
        if len(named) > 1:
            raise InvalidRequestError(
                named[1],
                f"a text has one constraint, and {named[0]} is given too",
                remedy="Choose one; a grammar can contain a schema (%json) and expressions.",
            )
        kind = named[0]
        value = given[kind]
        if kind == "choices":
            return cls(kind, json.dumps(_choices(value), ensure_ascii=False))
        if kind == "json_schema":
            return cls(kind, schemas.to_text(value))
        if not isinstance(value, str):
            raise InvalidRequestError(kind, f"must be text, not {type(value).__name__}")
        return cls(kind, value)

    def prepared(self) -> str:
        """The grammar to compile, as llguidance's JSON.

        Raises :class:`InvalidRequestError` for what is refused without compiling.
        """
        try:
            self.source.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequestError(
                self.kind, "it holds half a character (a lone surrogate)"
            ) from None
        part: dict[str, object]
        if self.kind == "json_schema":
            part = {"json_schema": schemas.prepare(self.source)}
        elif self.kind == "grammar":
            part = {"lark_grammar": lark.prepare(self.source) + _UNFORCED}
        elif self.kind == "regex":
            part = {"lark_grammar": f"start: /{_between_slashes(_regex(self.source))}/"}
        else:
            union = "|".join(map(_literal, json.loads(self.source)))
            part = {"lark_grammar": f"start: /{union}/"}
        return json.dumps({"grammars": [part]}, ensure_ascii=False)


def _choices(value: object) -> list[str]:
    remedy = 'For example choices=["yes", "no"].'
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        raise InvalidRequestError("choices", "must be a list of texts", remedy=remedy)
    if not value:
        raise InvalidRequestError("choices", "there is none to choose from", remedy=remedy)
    for choice in value:
        if not isinstance(choice, str):
            raise InvalidRequestError("choices", f"{choice!r:.60} is no text", remedy=remedy)
        if not choice:
            raise InvalidRequestError("choices", "one of them is empty", remedy=remedy)
    if len(value) > MAX_CHOICES or sum(map(len, value)) > MAX_CHOICE_CHARACTERS:
        raise InvalidRequestError(
            "choices",
            f"at most {MAX_CHOICES:,} of {MAX_CHOICE_CHARACTERS:,} characters in all can be "
            "compiled",
        )
    return list(dict.fromkeys(value))


def _unrolled(source: str) -> int:
    """How many parts an expression has once its counted repetitions are written out."""
    totals, atom = [0], 0
    for part in re.finditer(r"\\.|\[\^?\]?[^\]]*\]|\{\d*,?(\d*)\}|.", source, re.DOTALL):
        text = part.group()
        if text[0] == "{" and len(text) > 1:
            counts = [int(n[:9]) for n in re.findall(r"\d+", text)]
            totals[-1] += atom * max(0, max(counts, default=1) - 1)
            atom *= max(counts, default=1)
        elif text == "(":
            totals.append(0)
        elif text == ")" and len(totals) > 1:
            atom = totals.pop()
            totals[-1] += atom
        else:
            atom = 1
            totals[-1] += 1
    return sum(totals)


def _regex(source: str) -> str:
    if not source:
        raise InvalidRequestError("regex", "an empty expression allows no text")
    if len(source) > MAX_REGEX:
        raise InvalidRequestError(
            "regex", f"{len(source):,} characters are more than the {MAX_REGEX:,} allowed"
        )
    if (parts := _unrolled(source)) > MAX_UNROLLED:
        raise InvalidRequestError(
            "regex",
            f"its repetitions make {parts:,} parts; {MAX_UNROLLED:,} are the most",
            remedy="Repeat less often, or do not nest counted repetitions.",
        )
    return source


def _between_slashes(source: str) -> str:
    """The expression as Lark takes it: no bare slash, and \\d and \\w of ASCII alone.

    So they are in a schema's patterns (ECMA-262); a model that may take any digit of Unicode
    for a digit soon does.
    """
    return _ESCAPED.sub(lambda match: _ASCII.get(match[0], match[0]), source)


def _literal(text: str) -> str:
    """An expression for exactly this text."""
    return "".join(c if c.isalnum() else f"\\x{{{ord(c):x}}}" for c in text)
