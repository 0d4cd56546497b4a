"""The native bodies of ``InvokeModel``: which kind one is, told by its fields.

=========================================  ====================================================
what it holds                              whose body it is
=========================================  ====================================================
``anthropic_version``                      Anthropic's Messages
``messages``                               OpenAI's chat completions, as gpt-oss has it
``prompt`` and ``max_gen_len``             Meta's Llama
``prompt`` and ``max_tokens``              Mistral's
``inputText``                              Amazon's Titan: text, or vectors if the model makes them
=========================================  ====================================================

Any model here may be asked by any of them. A prompt alone could be two of them, whose answers
differ: it is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import from_json

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Answer, TextAsk
from studiolo.task.openai.fields import Head


class Native(Protocol):
    """A body that was read."""

    @property
    def names(self) -> Mapping[str, str]:
        """What it calls our options."""

    @property
    def ask(self) -> TextAsk:
        """What it asks."""

    async def whole(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer, once it is complete."""

    def chunks(self, answer: Answer) -> AsyncIterator[dict[str, Any]]:
        """The chunks of an answer as it comes; the last one after all its events."""


@dataclass(frozen=True)
class Family:
    """``fields``: by which a body is known; ``read(body, head)``: what it says."""

    name: str
    fields: frozenset[str]
    read: Callable[[Mapping[str, Any], Head], Native]


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises :class:`InvalidRequestError`."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError("body", f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("body", "is not a JSON object")
    return value


def family_of(body: Mapping[str, Any], families: Sequence[Family]) -> Family:
    """The first whose fields ``body`` has. Raises :class:`InvalidRequestError` for none."""
    for family in families:
        if family.fields <= body.keys():
            return family
    known = "; ".join(f"{' and '.join(sorted(each.fields))} ({each.name})" for each in families)
    raise InvalidRequestError(
        "body", "is of no kind that is known here", remedy=f"A body holds {known}."
    )
