"""Mistral's native body for texts.

Source: Amazon Bedrock User Guide, "Mistral AI text completion".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from studiolo.server.bedrock.dials import OwnDials
from studiolo.task.asking import Answer, Ended, Piece, TextAsk, collect
from studiolo.task.openai.fields import Head, parse


class MistralBody(OwnDials):
    """The body of a request."""

    prompt: str
    max_tokens: int = Field(ge=1)
    stop: list[str] | None = Field(None, max_length=10)


@dataclass(frozen=True)
class Mistral:
    """One that was read."""

    names: ClassVar[Mapping[str, str]] = {}
    ask: TextAsk

    @classmethod
    def read(cls, body: Mapping[str, Any], head: Head) -> Mistral:
        """Raises :class:`InvalidRequestError`."""
        read = parse(MistralBody, body)
        options = {**read.options(), "max_tokens": read.max_tokens, "stop": read.stop or ()}
        return cls(TextAsk(model=head.model, prompt=read.prompt, options=options))

    async def whole(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer, once it is complete."""
        (choice,) = await collect(answer)
        return _written(choice.text, choice.reason)

    async def chunks(self, answer: Answer) -> AsyncIterator[dict[str, Any]]:
        """The chunks of an answer as it comes."""
        reason = "stop"
        async for event in answer:
            if isinstance(event, Piece) and event.text:
                yield _written(event.text, None)
            elif isinstance(event, Ended):
                reason = event.reason
        yield _written("", reason)


def _written(text: str, reason: str | None) -> dict[str, Any]:
    return {"outputs": [{"text": text, "stop_reason": reason}]}
