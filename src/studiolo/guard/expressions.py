"""Regular expressions of users, by RE2: linear in the text, whatever is written.

An expression that Python's engine would spend years on is matched or refused at once (Cox 2007,
“Regular Expression Matching Can Be Simple And Fast”). What RE2 has not (look-around, references
back) is refused when the policy is read. Spans of no characters find nothing.
"""

from __future__ import annotations

from typing import Any

from studiolo.errors import InvalidRequestError, MissingExtraError

_MEMORY = 8 << 20


def compiled(pattern: str) -> Any:
    """``pattern`` ready for :func:`spans`; raises :class:`InvalidRequestError` for a bad one."""
    try:
        import re2
    except ImportError:
        raise MissingExtraError("a regular expression in a policy", "guard") from None
    options = re2.Options()
    options.max_mem, options.log_errors = _MEMORY, False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raised = error.args[0] if error.args else b""
        why = raised.decode("utf-8", "replace") if isinstance(raised, bytes) else str(raised)
        raise InvalidRequestError(
            "pattern",
            f"{pattern[:80]!r} is no expression of RE2: {why[:200]}",
            remedy="RE2 has neither look-around nor references back: github.com/google/re2",
        ) from None


def spans(expression: Any, text: str) -> list[tuple[int, int]]:
    """Where ``text`` matches, left to right."""
    safe = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is one character: ?
    return [each.span() for each in expression.finditer(safe) if each.end() > each.start()]
