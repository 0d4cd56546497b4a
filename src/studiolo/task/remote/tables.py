"""The operator's TOML files: tables of one kind, ``[KIND.NAME]``, each checked by a model.

A mistake is told by file and line, or by file and field. Knows no particular kind.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from studiolo.bundle.manifest import plainly
from studiolo.errors import MalformedFileError

M = TypeVar("M", bound=BaseModel)
LARGEST = 4 << 20
"""Bytes of a file beyond which it is none of ours."""


def read_tables(path: Path, kind: str, model: type[M], page: str) -> dict[str, M]:
    """Every table ``[kind.NAME]`` of the file at ``path`` as a ``model``, by name.

    ``page``: of the docs, which tells of the format. Raises :class:`MalformedFileError`.
    """

    def broken(reason: str) -> MalformedFileError:
        return MalformedFileError(f"{path}: {reason}", remedy=f"{page} describes the format.")

    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise broken(f"cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise broken(f"larger than {LARGEST:,} bytes")
    try:
        tree = tomllib.loads(content.decode("utf-8").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise broken(f"line {line} is not UTF-8") from None
    except RecursionError:
        raise broken("nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or a number beyond Python's digit limit
        raise broken(str(error)) from None
    if unknown := set(tree) - {kind}:
        raise broken(f"{min(unknown)}: only tables [{kind}.NAME] may stand at the top")
    tables = tree.get(kind, {})
    if not isinstance(tables, dict):
        raise broken(f"{kind}: must be a table of tables, [{kind}.NAME]")
    found = {}
    for name, fields in tables.items():
        try:
            found[name] = model.model_validate(fields)
        except ValidationError as error:
            reasons = plainly(error).splitlines()
            raise broken("; ".join(f"{kind}.{name}.{each}" for each in reasons)) from None
    return found
