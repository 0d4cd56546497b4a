"""Answers that can be checked: a number to come to, a text to give, or a form to have.

A line is ``{"prompt", "answer"}``: right is an answer whose last number is that number, or, where
``answer`` is none, that very text; or ``{"prompt", "pattern"}``: right is what the regular
expression matches as a whole. Knows text; does not know models.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.examples import asked

_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")
Check = Callable[[str], bool]


@dataclass(frozen=True)
class Trial:
    """A prompt's ids, and what tells a right answer."""

    prompt: tuple[int, ...]
    right: Check


def trial(value: Mapping[str, Any], tokenizer: Tokenizer) -> Trial:
    """One line; raises ``ValueError`` for what is none."""
    prompt = tuple(asked(value.get("prompt"), tokenizer))
    match value:
        case {"answer": str(answer)} if answer.strip():
            return Trial(prompt, right_answer(answer))
        case {"answer": int() | float() as number} if not isinstance(number, bool):
            return Trial(prompt, right_answer(repr(number)))
        case {"pattern": str(pattern)}:
            try:
                form = re.compile(pattern, re.DOTALL)
            except re.error as error:
                raise ValueError(f"its pattern is no regular expression: {error}") from None
            return Trial(prompt, lambda text: form.fullmatch(text.strip()) is not None)
        case _:
            raise ValueError("has no answer, nor a pattern, by which to check one")


def right_answer(answer: str) -> Check:
    """Whether a text comes to ``answer``: its last number if that is one, else all of it."""
    wanted = _number(answer)
    if wanted is None:
        return lambda text: text.strip() == answer.strip()

    def right(text: str) -> bool:
        found = _NUMBER.findall(text)
        return bool(found) and _number(found[-1]) == wanted

    return right


def _number(text: str) -> float | None:
    try:
        number = float(text.strip().replace(",", ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
