"""Real passages to embed: the docstrings of the Python standard library, or a file's paragraphs."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from pathlib import Path

from studiolo.errors import InvalidRequestError

LEAST = 60
"""Characters below which a docstring is no passage."""


def passages(count: int, corpus: Path | None = None) -> list[str]:
    """``count`` different passages, evenly spread over the corpus and in its order.

    ``corpus``: a UTF-8 text whose paragraphs an empty line divides. Raises
    :class:`InvalidRequestError` if it holds too few.
    """
    found = docstrings() if corpus is None else paragraphs(corpus)
    if len(found) < count:
        raise InvalidRequestError("count", f"{count:,} of {len(found):,} passages that there are")
    return [found[i * len(found) // count] for i in range(count)]


def docstrings() -> list[str]:
    """Of every module, class and function of the standard library, tests and packages left out."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found: dict[str, None] = {}
    for file in sorted(root.rglob("*.py")):
        if {"test", "tests", "idle_test", "site-packages", "lib2to3"} & set(file.parts):
            continue
        try:
            with warnings.catch_warnings(action="ignore"):
                tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text and len(text) >= LEAST:
                    found.setdefault(text)
    return list(found)


def paragraphs(file: Path) -> list[str]:
    """The different paragraphs of a file, in its order."""
    if not file.is_file():
        raise InvalidRequestError("corpus", f"there is no file {str(file)!r}")
    parts = (part.strip() for part in file.read_text(encoding="utf-8").split("\n\n"))
    return list(dict.fromkeys(part for part in parts if part))
