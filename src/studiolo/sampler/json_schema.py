"""What of JSON Schema can be enforced while a text is written, checked before it is tried.

The library that enforces schemas (llguidance) refuses keywords it knows and cannot do, but
lets pass what it has never heard of, keywords that say how lenient it should be, and some
schemas that no finite text satisfies; some deep ones overflow its stack. Here every schema
is walked first: a keyword is enforced, or is a note that no text can contradict, or is
refused by name and place. Every ``$ref`` is followed, so that nothing is used unseen.

Notable choices. *Unknown keywords are refused*, although the standard would skip them:
a misspelt ``maxLenght`` must not be ignored. Names that begin with ``x-`` are notes by
convention. *Whitespace between values is bounded*: one space, or a line end and an
indentation; otherwise a model drawn at random may write spaces for ever.

This module does not know tokens, nor the library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from studiolo.errors import InvalidRequestError

MAX_CHARACTERS = 100_000
"""Of a schema as compact JSON; compiling takes up to about a second there."""
MAX_NESTING = 60
"""Schemas within schemas, without following references."""
MAX_LEVELS = 600
"""Nesting of the root and of everything referred to, added up: a bound on the depth to which
the library can recurse, at about a quarter of what overflows a stack of 8 MiB."""
MAX_PROPERTIES = 400
"""Optional properties of one object: each may follow each, and the grammar's rows grow so."""
WHITESPACE = r"( |\r?\n[ \t]{0,40})"

_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    rf"|{_LEAP}-02-29)"
)
_HOURS = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_HOURS}:[0-5][0-9](?:\.[0-9]{{1,9}})?(?:Z|[+-]{_HOURS})"
EXACT: Mapping[str, Mapping[str, Any]] = {
    "date": {"pattern": f"^{_DATE}$"},
    "time": {"pattern": f"^{_TIME}$"},
    "date-time": {"pattern": f"^{_DATE}T{_TIME}$"},
    "hostname": {"format": "hostname", "maxLength": 253},
}
"""Formats written out (RFC 3339, RFC 1123): the library lets every year have a 29 February, and
names be of any length. No leap seconds, no year 0: few programs read them."""
FORMATS = ("duration", "email", "ipv4", "ipv6", "uri", "uuid")
"""Formats left to the library."""

_ONE = ("additionalProperties", "additionalItems", "items")
_LIST = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "$defs", "definitions")
_PLAIN = (
    *("type", "enum", "const", "$ref", "required", "minLength", "maxLength", "pattern", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minItems", "maxItems", "minProperties", "maxProperties"),
)
ENFORCED = frozenset({*_ONE, *_LIST, *_NAMED, *_PLAIN})
NOTES = frozenset(
    {
        *("$schema", "$comment", "title", "description", "default", "examples", "deprecated"),
        *("readOnly", "writeOnly", "contentMediaType", "contentEncoding", "discriminator"),
    }
)
"""Keywords that describe and do not constrain. ``$id`` is one at the root."""

Schema = Any


def prepare(schema: object, field: str = "json_schema") -> dict[str, Any]:
    """The schema to hand to the library, made of plain JSON types.

    ``schema``: a mapping, ``True``, or JSON text of these. ``field``: what an error names.
    Raises :class:`InvalidRequestError` for what is no schema, cannot be enforced, or cannot be
    satisfied by any finite text.
    """
    value = _read(schema, field)
    if value is True:
        value = {}
    if not isinstance(value, dict):
        raise InvalidRequestError(
            field,
            "`false` allows no text at all" if value is False else "a schema is an object",
            remedy='For example {"type": "object", "properties": {"name": {"type": "string"}}}.',
        )
    _Walk(value, field).check_ends()
    return {**_exact(value), "x-guidance": {"whitespace_pattern": WHITESPACE}}


def to_text(schema: object, field: str = "json_schema") -> str:
    """JSON text of a schema given as a mapping or as text, keys in their order.

    Raises :class:`InvalidRequestError` for what is no JSON.
    """
    if isinstance(schema, str):
        return schema
    with _reading(field):
        return json.dumps(_plain(schema), ensure_ascii=False, allow_nan=False)


def _read(schema: object, field: str) -> Schema:
    text = to_text(schema, field)
    with _reading(field):
        if len(text) <= 4 * MAX_CHARACTERS:  # spaces are no burden, within reason
            value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            text.encode("utf-8")
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequestError(
            field,
            f"{len(text):,} characters are more than the {MAX_CHARACTERS:,} that can be compiled",
        )
    return value


@contextmanager
def _reading(field: str) -> Iterator[None]:
    """Turn what Python raises over JSON into our error."""
    try:
        yield
    except UnicodeEncodeError:
        raise InvalidRequestError(field, "it holds half a character (a lone surrogate)") from None
    except RecursionError:
        raise InvalidRequestError(field, "it is nested too deep, or in itself") from None
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(
            field, f"it is not JSON: {error}", remedy="Give a JSON object, or its text."
        ) from None


def _plain(value: object) -> object:
    """Mappings of any kind as dicts, so that JSON takes them."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a key is not a string")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


class _Walk:
    """One schema, seen whole: every schema in it by its pointer, with its depth."""

    def __init__(self, root: dict[str, Any], field: str) -> None:
        self._field = field
        self._schemas: dict[str, Schema] = {}
        self._levels: dict[str, int] = {}
        self._references: dict[str, str] = {}  # pointer: where it stands
        self._check(root, "#", 0)
        self._follow()

    def _follow(self) -> None:
        """See where every reference leads, and how deep they are together."""
        for pointer, where in self._references.items():
            if pointer not in self._schemas:
                raise self._error(where, f"$ref of {_shown(pointer)} leads to no schema")
        levels = sum(self._levels[pointer] for pointer in {"#", *self._references})
        if levels > MAX_LEVELS:
            raise self._error(
                "#",
                f"what is referred to is nested {levels:,} levels in all; {MAX_LEVELS:,} can be "
                "compiled",
                "Refer to fewer definitions.",
            )

    def check_ends(self) -> None:
        """Raise for what surely no finite text satisfies, in the root or referred to."""
        targets = list(dict.fromkeys(["#", *self._references]))
        finite: set[str] = set()
        before = -1
        while len(finite) > before:
            before = len(finite)
            for pointer in reversed(targets):  # mostly found after what refers to them
                if pointer not in finite and _finite(self._schemas[pointer], finite):
                    finite.add(pointer)
        for pointer in targets:
            if pointer not in finite:
                raise self._error(
                    pointer,
                    "no finite text satisfies it: it requires itself, or what is false",
                    "Make the reference that leads back optional, or give an alternative to it.",
                )

    def _error(self, where: str, message: str, remedy: str | None = None) -> InvalidRequestError:
        place = "" if where == "#" else f"{where}: "
        return InvalidRequestError(self._field, place + message, remedy=remedy)

    def _check(self, schema: Schema, where: str, depth: int) -> int:
        """Check one schema and those within it; how many levels there are."""
        self._schemas[where], self._levels[where] = schema, 1
        if isinstance(schema, bool):
            return 1
        if not isinstance(schema, dict):
            raise self._error(where, f"{_shown(schema)} is no schema", "A schema is an object.")
        if depth > MAX_NESTING:
            raise self._error(where, f"schemas are nested more than {MAX_NESTING} deep")
        for keyword in schema:
            self._known(keyword, where, root=where == "#")
        self._formats(schema, where)
        self._objects(schema, where)
        if "$ref" in schema:
            self._refer(schema["$ref"], where)
        within = [self._check(each, at, depth + 1) for each, at in self._parts(schema, where)]
        self._levels[where] = 1 + max(within, default=0)
        return self._levels[where]

    def _known(self, keyword: str, where: str, *, root: bool) -> None:
        if keyword in ENFORCED or keyword in NOTES or (keyword in ("$id", "id") and root):
            return
        if keyword.startswith("x-") and keyword != "x-guidance":
            return
        raise self._error(
            where,
            f"the keyword {_shown(keyword)} cannot be enforced",
            "Leave it out, or say the same in another way; docs/constraints.md lists what can be.",
        )

    def _formats(self, schema: dict[str, Any], where: str) -> None:
        name = schema.get("format")
        if name is not None and name not in (*FORMATS, *EXACT):
            raise self._error(
                where,
                f"the format {_shown(name)} cannot be enforced",
                f"These can: {', '.join(sorted({*FORMATS, *EXACT}))}; or say it with `pattern`.",
            )

    def _objects(self, schema: dict[str, Any], where: str) -> None:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise self._error(where, "`required` is a list of names")
        least = schema.get("minProperties", 0)
        if isinstance(least, int) and least > len(set(required)) + 1:
            raise self._error(
                where,
                f"minProperties of {least} cannot be enforced: further names might repeat",
                "Name the properties in `required`.",
            )
        if isinstance(properties, dict) and len(set(properties) - set(required)) > MAX_PROPERTIES:
            raise self._error(
                where,
                f"more than {MAX_PROPERTIES} optional properties cannot be compiled",
                "Put names into `required`.",
            )

    def _parts(self, schema: dict[str, Any], where: str) -> Iterator[tuple[Schema, str]]:
        for keyword, value in schema.items():
            at = f"{where}/{keyword}"
            if keyword in _NAMED:
                if not isinstance(value, dict):
                    raise self._error(at, "is an object of schemas")
                for name, each in value.items():
                    yield each, f"{at}/{_escaped(name)}"
            elif keyword in _LIST and isinstance(value, list):
                for number, each in enumerate(value):
                    yield each, f"{at}/{number}"
            elif keyword in _ONE:
                yield value, at
            elif keyword in _LIST:
                raise self._error(at, "is a list of schemas")

    def _refer(self, pointer: object, where: str) -> None:
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise self._error(
                where,
                f"$ref of {_shown(pointer)} is not followed",
                "Put what it refers to under $defs, and refer to it as #/$defs/NAME.",
            )
        self._references.setdefault(pointer, where)


def _finite(schema: Schema, known: set[str]) -> bool:
    """Whether a finite text may satisfy ``schema``, given the references that surely have one."""
    if not isinstance(schema, dict):
        return bool(schema)
    if "$ref" in schema and schema["$ref"] not in known:
        return False
    for keyword, enough in (("allOf", all), ("anyOf", any), ("oneOf", any)):
        within = schema.get(keyword)
        if isinstance(within, list) and not enough(_finite(each, known) for each in within):
            return False
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        names: Sequence[str] = schema.get("required", [])
        return all(_finite(properties.get(name, others), known) for name in names)
    if schema.get("type") == "array" and isinstance(least := schema.get("minItems", 0), int):
        items = schema.get("items", True)
        first = schema.get("prefixItems", items if isinstance(items, list) else [])
        if isinstance(items, list):
            items = schema.get("additionalItems", True)
        rest = [items] if least > len(first) else []
        return all(_finite(each, known) for each in [*first[:least], *rest])
    return True


def _exact(schema: Schema) -> Schema:
    """The schema with those formats replaced that the library takes too broadly."""
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _NAMED:
            out[keyword] = {name: _exact(each) for name, each in value.items()}
        elif keyword in _LIST and isinstance(value, list):
            out[keyword] = [_exact(each) for each in value]
        else:
            out[keyword] = _exact(value) if keyword in _ONE else value
    if out.get("format") in EXACT:
        out["allOf"] = [*out.get("allOf", []), EXACT[out.pop("format")]]
    return out


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
