"""Meta Llama's native body. Source: Amazon Bedrock User Guide, "Meta Llama models".

A chunk of a stream holds no count of its own tokens, which at AWS it does: the last one has all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from studiolo.server.bedrock.dials import OwnDials
from studiolo.task.asking import Answer, Ended, Piece, TextAsk, collect
from studiolo.task.openai.fields import Head, parse


class LlamaBody(OwnDials):
    """The body of a request."""

    prompt: str
    max_gen_len: int = Field(ge=1)


@dataclass(frozen=True)
class Llama:
    """One that was read."""

    names: ClassVar = {"max_tokens": "max_gen_len"}
    ask: TextAsk

    @classmethod
    def read(cls, body: Mapping[str, Any], head: Head) -> Llama:
        """Raises :class:`InvalidRequestError`."""
        read = parse(LlamaBody, body)
        options = {**read.options(), "max_tokens": read.max_gen_len}
        return cls(TextAsk(model=head.model, prompt=read.prompt, options=options))

    async def whole(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer, once it is complete."""
        (choice,) = await collect(answer)
        outcome = answer.outcome
        return _written(
            choice.text, outcome.prompt_tokens, outcome.completion_tokens, choice.reason
        )

    async def chunks(self, answer: Answer) -> AsyncIterator[dict[str, Any]]:
        """The chunks of an answer as it comes."""
        prompt: int | None = answer.prompt_tokens
        reason = "stop"
        async for event in answer:
            if isinstance(event, Piece) and event.text:
                yield _written(event.text, prompt, None, None)
                prompt = None
            elif isinstance(event, Ended):
                reason = event.reason
        yield _written("", prompt, answer.outcome.completion_tokens, reason)


def _written(text: str, prompt: int | None, made: int | None, reason: str | None) -> dict[str, Any]:
    return {
        "generation": text,
        "prompt_token_count": prompt,
        "generation_token_count": made,
        "stop_reason": reason,
    }
