"""Real texts that every Python carries: its language reference, and its library's source."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from pydoc_data import topics

MODULES = ("argparse", "bisect", "calendar", "csv", "datetime", "difflib", "heapq", "textwrap")


def real_texts(count: int, least: int = 2500) -> list[str]:
    """``count`` texts of at least ``least`` characters, prose and code in turn."""
    prose = [text for _, text in sorted(topics.topics.items()) if len(text) >= least]
    code = [text for name in MODULES if len(text := source(name)) >= least]
    mixed = [text for pair in zip(prose, code, strict=False) for text in pair]
    found = [*mixed, *prose[len(code) :]][:count]
    assert len(found) == count
    return found


def prose(least: int) -> str:
    """The beginning of the language reference, ``least`` characters of it."""
    text = "\n".join(text for _, text in sorted(topics.topics.items()))[:least]
    assert len(text) == least
    return text


def source(module: str) -> str:
    """The source of a module of the standard library."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")
