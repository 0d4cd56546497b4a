"""A filter on metadata, given as JSON, becomes a condition of the query.

The shapes are those of Amazon Bedrock's ``RetrievalFilter``: one key that names the operator, over
``{"key": …, "value": …}`` or a list of filters::

    {"andAll": [{"equals": {"key": "team", "value": "finance"}},
                {"greaterThan": {"key": "year", "value": 2020}}]}

Besides the keys of the index's own rules there are ``source``, ``kind`` and ``page``. A document
that lacks a key matches none but ``notEquals`` and ``notIn``. Notable choice: *nothing of what a
caller writes becomes SQL*. Keys are looked up and replaced by the name of their column; values are
checked against the column's type and written as literals of it. Wildcards mean nothing, since no
``LIKE`` is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.facts import Type

MAX_DEPTH = 8
MAX_VALUES = 1000
BUILT_IN: Mapping[str, Type] = MappingProxyType(
    {"source": "text", "kind": "text", "page": "number"}
)
PREFIX = "meta_"
"""Before the name of every column that the user's rules named."""

_COMPARED: Mapping[str, tuple[str, tuple[Type, ...]]] = MappingProxyType(
    {
        "equals": ("=", ("text", "number", "truth")),
        "notEquals": ("<>", ("text", "number", "truth")),
        "greaterThan": (">", ("number", "text")),
        "greaterThanOrEquals": (">=", ("number", "text")),
        "lessThan": ("<", ("number", "text")),
        "lessThanOrEquals": ("<=", ("number", "text")),
    }
)
_CALLED: Mapping[str, tuple[str, tuple[Type, ...]]] = MappingProxyType(
    {
        "startsWith": ("starts_with", ("text",)),
        "stringContains": ("contains", ("text",)),
        "listContains": ("array_has", ("texts",)),
    }
)
_LISTED = ("in", "notIn")
OPERATORS = ("andAll", "orAll", *_COMPARED, *_LISTED, *_CALLED)


def condition(asked: object, types: Mapping[str, Type]) -> str:
    """The condition, in the SQL that LanceDB reads, for a filter.

    ``types``: the keys of this index's metadata. Raises :class:`InvalidRequestError`, naming
    ``filter``, for an operator or key that is not known, and a value of another type.
    """
    return _condition(asked, types, 0)


def _condition(asked: object, types: Mapping[str, Type], depth: int) -> str:
    if depth > MAX_DEPTH:
        raise _wrong(f"is nested more than {MAX_DEPTH} deep")
    if not isinstance(asked, Mapping) or len(asked) != 1:
        raise _wrong(f"must be an object with one operator, not {_short(asked)}")
    operator, inside = next(iter(asked.items()))
    if operator in ("andAll", "orAll"):
        if not isinstance(inside, list | tuple) or not 1 <= len(inside) <= MAX_VALUES:
            raise _wrong(f"{operator} needs a list of filters")
        joint = " AND " if operator == "andAll" else " OR "
        return "(" + joint.join(_condition(each, types, depth + 1) for each in inside) + ")"
    if operator not in OPERATORS:
        raise _wrong(f"{operator!r:.80} is no operator", OPERATORS, operator)
    return _leaf(operator, inside, types)


def _leaf(operator: str, inside: object, types: Mapping[str, Type]) -> str:
    if not isinstance(inside, Mapping) or set(inside) != {"key", "value"}:
        raise _wrong(f'{operator} needs {{"key": …, "value": …}}, not {_short(inside)}')
    key, value = inside["key"], inside["value"]
    known = {**BUILT_IN, **types}
    if not isinstance(key, str) or key not in known:
        raise _wrong(f"{key!r:.80} is no key of this index", tuple(known), key)
    own = known[key]
    column = key if key in BUILT_IN else PREFIX + key
    if operator in _COMPARED:
        sign, allowed = _COMPARED[operator]
        _allowed(operator, key, own, allowed)
        said = f"{column} {sign} {_literal(key, value, own)}"
    elif operator in _CALLED:
        function, allowed = _CALLED[operator]
        _allowed(operator, key, own, allowed)
        said = f"{function}({column}, {_literal(key, value, 'text')})"
    else:
        _allowed(operator, key, own, ("text", "number"))
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_VALUES:
            raise _wrong(f"{operator} needs a list of 1 to {MAX_VALUES:,} values")
        written = ", ".join(_literal(key, each, own) for each in value)
        said = f"{column} {'NOT IN' if operator == 'notIn' else 'IN'} ({written})"
    if operator.startswith("not"):
        return f"({column} IS NULL OR {said})"
    return f"({column} IS NOT NULL AND {said})"


def _literal(key: str, value: Any, own: Type) -> str:
    makers: Mapping[Type, Callable[[Any], str | None]] = {
        "text": lambda each: literal(each) if isinstance(each, str) else None,
        "number": _number,
        "truth": lambda each: str(each).lower() if isinstance(each, bool) else None,
        "texts": lambda each: None,
    }
    made = makers[own](value)
    if made is None:
        raise _wrong(f"{key} is a {own}, and {_short(value)} is none")
    return made


def literal(text: str) -> str:
    """A text as a literal of SQL, in which only the quote has a meaning.

    Raises :class:`InvalidRequestError` for zero bytes and lone surrogates.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _wrong(f"{text!r:.80} is no text") from None
    if "\0" in text:
        raise _wrong("holds a zero byte")
    return "'" + text.replace("'", "''") + "'"


def written(value: str | float | bool | list[str] | None) -> str:
    """A value of metadata as a literal of SQL; a list has at least one element."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, list):
        return f"make_array({', '.join(literal(each) for each in value)})"
    return str(value).lower() if isinstance(value, bool) else f"CAST({float(value)!r} AS DOUBLE)"


def _number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or abs(value) > 2**53:
        raise _wrong(f"{value} is beyond the exact numbers, 2**53")
    return f"CAST({value!r} AS DOUBLE)"


def _allowed(operator: str, key: str, own: Type, allowed: tuple[Type, ...]) -> None:
    if own not in allowed:
        raise _wrong(f"{operator} is not for {key}, which is a {own}")


def _short(value: object) -> str:
    return f"{value!r:.80}"


def _wrong(why: str, known: tuple[str, ...] = (), given: object = None) -> InvalidRequestError:
    remedy = None
    if known:
        near = get_close_matches(str(given), known, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        remedy = f"{hint}There are: {', '.join(known)}."
    return InvalidRequestError("filter", why, remedy=remedy)
