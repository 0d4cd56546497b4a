"""A run so small that it takes a second: a rhyme, two layers, blocks of sixteen characters."""

from __future__ import annotations

from pathlib import Path

from studiolo.training.recipe import Recipe, checked_recipe

TEXT = (
    "The cat sat on the mat, and the rat sat on the cat.\n"
    "After the rain, the streets were wet; the cat was wet, and the rat was not.\n"
) * 24


def text_file(folder: Path) -> Path:
    path = folder / "rhyme.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def small_recipe(path: Path, **changes: object) -> Recipe:
    """``changes``: sections, ``training={"steps": 3}``."""
    value: dict[str, dict[str, object]] = {
        "data": {"path": str(path)},
        "model": {"width": 32, "heads": 2, "context": 16},
        "training": {"batch": 4, "steps": 20},
        "watch": {"evaluate": 5, "checkpoint": 3, "tokens": 64, "sample": 24, "prompt": "The"},
    }
    scalars: dict[str, object] = {"name": "rhyme", "size": 2}
    for key, change in changes.items():
        if isinstance(change, dict):
            value[key] = {**value.get(key, {}), **change}
        else:
            scalars[key] = change
    return checked_recipe({**scalars, **value})
