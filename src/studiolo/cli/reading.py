"""How a command comes by its text: from an argument, a file, or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from studiolo.errors import InvalidRequestError


def read_file(path: Path, *, field: str) -> str:
    """The text of a UTF-8 file, its line ends untouched.

    Raises:
        InvalidRequestError: naming ``field``, if the file is missing, unreadable, no file,
            or not UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InvalidRequestError(field, f"there is no file {str(path)!r}") from None
    except OSError as error:
        raise InvalidRequestError(
            field, f"{str(path)!r} cannot be read: {error.strerror}"
        ) from None
    return _decoded(data, str(path), field)


def read_stdin(*, field: str) -> str:
    """All of standard input, which must be UTF-8; an error if nobody is piping into it."""
    if sys.stdin is None or sys.stdin.isatty():
        raise InvalidRequestError(
            field,
            "there is none",
            remedy="Give it as an argument, with --file, or through a pipe.",
        )
    return _decoded(sys.stdin.buffer.read(), "standard input", field)


def read_prompt(argument: str | None, file: Path | None, field: str = "prompt") -> str:
    """The prompt, or what ``field`` calls it, from the one place that the user named.

    One line end is dropped from the end of a file or a pipe: editors and ``echo`` put it
    there, and a prompt that ends in one asks a model for a new line.

    Raises:
        InvalidRequestError: for an empty prompt, for none, or for two.
    """
    if argument not in (None, "-") and file is not None:
        raise InvalidRequestError(field, "is given twice, as an argument and with --file")
    if file is not None:
        prompt = read_file(file, field="--file")
    elif argument is None or argument == "-":
        prompt = read_stdin(field=field)
    else:
        # Bytes that are not UTF-8 arrive in an argument as lone surrogates.
        prompt = argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return _not_empty(prompt, field)
    return _not_empty(prompt.removesuffix("\n").removesuffix("\r"), field)


def _not_empty(prompt: str, field: str) -> str:
    if not prompt:
        raise InvalidRequestError(field, "is empty", remedy="Give it at least one character.")
    return prompt


def _decoded(data: bytes, name: str, field: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            field,
            f"{name!r} is not UTF-8 text (byte 0x{data[error.start]:02x} at {error.start:,})",
            remedy="Convert it, or choose another file.",
        ) from None
