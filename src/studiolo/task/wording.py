"""Errors in the words of a dialect: a field is named as the client wrote it.

Inside a setting has one name; each dialect has its own for it, and an error that names
another than the client's would send it looking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from studiolo.errors import InvalidRequestError


@contextmanager
def worded(names: Mapping[str, str]) -> Iterator[None]:
    """Let an :class:`InvalidRequestError` from within say ``names[field]`` for its field."""
    try:
        yield
    except InvalidRequestError as error:
        theirs = names.get(error.field)
        if theirs is not None:
            error.args = (theirs + str(error).removeprefix(error.field),)
            error.message = theirs + error.message.removeprefix(error.field)
            error.field = theirs
        raise
