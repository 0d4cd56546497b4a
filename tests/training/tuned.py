"""Recipes that go on from the tiny model, and data to go on with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from studiolo.training.recipe import Recipe, checked_recipe

CHATS = [
    {
        "messages": [
            {"role": "user", "content": f"where sat cat {i}?"},
            {"role": "assistant", "content": f"cat {i} sat on the mat"},
        ]
    }
    for i in range(20)
]
COMPLETIONS = [{"prompt": f"after rain {i}", "completion": " the streets"} for i in range(20)]
PAIRS = [
    {"prompt": f"the cat {i}", "chosen": " sat on the mat", "rejected": " were wet"}
    for i in range(20)
]
SUMS = [{"prompt": f"{i} and 1 is", "answer": i + 1} for i in range(20)]


def lines(path: Path, values: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def tuning(parent: str, path: Path, kind: str, **changes: Mapping[str, object]) -> Recipe:
    """``changes``: sections, ``training={"steps": 3}``."""
    value: dict[str, dict[str, object]] = {
        "start": {"model": parent},
        "objective": {"kind": kind},
        "data": {"path": str(path), "validation": 0.2},
        "model": {"context": 48},
        "optimiser": {"rate": 0.01},
        "training": {"batch": 2, "steps": 20},
        "watch": {"evaluate": 10, "sample": 0},
    }
    for key, change in changes.items():
        value[key] = {**value.get(key, {}), **change}
    return checked_recipe({"name": "tuned", **value})
