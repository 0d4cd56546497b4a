"""What callers hand in, made sure of before any work is done.

Every fault is an :class:`InvalidRequestError` that names the argument, so that no door
ever shows a ``TypeError`` from deep inside. Whole numbers may be of any integer type
(numpy's and torch's too) and become ``int``; ``True`` is no number here. Does not know
what a model does with them.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches

from studiolo.errors import InvalidRequestError
from studiolo.sampler.settings import Decoding


def whole(field: str, value: object, low: int, high: int | None = None) -> int:
    """``value`` as an int of ``low`` to ``high`` (both included; None: no upper end)."""
    number = _integer(value)
    if number is None or number < low or (high is not None and number > high):
        span = f"at least {low}" if high is None else f"{low} to {high:,}"
        raise InvalidRequestError(field, f"must be a whole number, {span}, not {_shown(value)}")
    return number


def stop_strings(value: object) -> tuple[str, ...]:
    """One string, or several in a sequence; none of them empty."""
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
        raise InvalidRequestError(
            "stop", f"must be a string or a list of strings, not {_shown(value)}"
        )
    for text in value:
        if not isinstance(text, str):
            raise InvalidRequestError("stop", f"must hold strings, not {_shown(text)}")
        if not text:
            raise InvalidRequestError("stop", "an empty string would stop at once")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidRequestError("stop", "it holds half a character (a lone surrogate)")
    return tuple(value)


def token_ids(field: str, value: object, vocabulary: int) -> list[int]:
    """Ids below ``vocabulary``, from any sequence of integers but one of bytes."""
    if isinstance(value, bytes | bytearray | Mapping | AbstractSet):
        given = None
    else:
        try:
            given = list(value)  # type: ignore[call-overload]
        except TypeError:
            given = None
    if given is None:
        raise InvalidRequestError(field, f"must be text or token ids, not {_shown(value)}")
    ids = [_integer(each) for each in given]
    for each, id in zip(given, ids, strict=True):
        if id is None:
            raise InvalidRequestError(field, f"{_shown(each)} is no token id")
        if not 0 <= id < vocabulary:
            raise InvalidRequestError(
                field, f"token {_shown(id)} is outside the vocabulary of {vocabulary:,}"
            )
    return [id for id in ids if id is not None]


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def check_names(decoding: Mapping[str, object], own: Sequence[str]) -> None:
    """Raise :class:`InvalidRequestError` for an option that is neither decoding's nor ``own``."""
    known = [*own, *Decoding.model_fields]
    for name in decoding:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise InvalidRequestError(
                name, "there is no such option", remedy=f"{hint}There are {', '.join(known)}."
            )
