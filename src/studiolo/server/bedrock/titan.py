"""Amazon Titan's native bodies: ``inputText`` in, a text or a vector out.

Sources: Amazon Bedrock User Guide, "Amazon Titan Text models", "Amazon Titan Embeddings Text".

``inputText`` of a text is what a user says, and goes through the model's chat template. A vector
has length 1, and as many numbers as the model makes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.dials import OwnDials, Shape, joined
from studiolo.task.asking import Answer, Ended, Piece, TextAsk, collect
from studiolo.task.openai.fields import Head, parse


class TextGenerationConfig(Shape):
    """The dials of Titan."""

    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, ge=0, le=1)
    max_token_count: int | None = Field(None, ge=1)
    stop_sequences: list[Annotated[str, Field(min_length=1)]] | None = None


class TitanTextBody(OwnDials):
    """The body of a request for a text; our own dials stand beside its config."""

    input_text: str = Field(alias="inputText")
    config: TextGenerationConfig | None = Field(None, alias="textGenerationConfig")


class TitanVectorBody(Shape):
    """The body of a request for a vector."""

    input_text: str
    dimensions: int | None = Field(None, ge=1)
    normalize: Literal[True] | None = None
    embedding_types: list[Literal["float"]] | None = Field(None, min_length=1, max_length=1)


@dataclass(frozen=True)
class TitanText:
    """A request for a text that was read."""

    names: ClassVar = {
        "max_tokens": "textGenerationConfig.maxTokenCount",
        "stop": "textGenerationConfig.stopSequences",
    }
    ask: TextAsk

    @classmethod
    def read(cls, body: Mapping[str, Any], head: Head) -> TitanText:
        """Raises :class:`InvalidRequestError`."""
        read = parse(TitanTextBody, body)
        config = read.config or TextGenerationConfig()
        theirs = {
            "temperature": config.temperature,
            "top_p": config.top_p,
            "max_tokens": config.max_token_count,
            "stop": config.stop_sequences,
        }
        said = {"role": "user", "content": read.input_text}
        options = joined(read.options(), theirs, "")
        return cls(TextAsk(model=head.model, messages=[said], options=options))

    async def whole(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer, once it is complete."""
        (choice,) = await collect(answer)
        result = {
            "tokenCount": answer.outcome.completion_tokens,
            "outputText": choice.text,
            "completionReason": _reason(Ended(0, choice.reason, choice.stop)),
        }
        return {"inputTextTokenCount": answer.prompt_tokens, "results": [result]}

    async def chunks(self, answer: Answer) -> AsyncIterator[dict[str, Any]]:
        """The chunks of an answer as it comes."""
        reason = None
        async for event in answer:
            if isinstance(event, Piece) and event.text:
                yield _chunk(event.text, answer.prompt_tokens, None, None)
            elif isinstance(event, Ended):
                reason = _reason(event)
        yield _chunk("", answer.prompt_tokens, answer.outcome.completion_tokens, reason)


def vector(body: TitanVectorBody, made: Tensor, tokens: int) -> dict[str, Any]:
    """The body that holds a vector ``[width]``, float32. Raises :class:`InvalidRequestError`."""
    if body.dimensions not in (None, len(made)):
        raise InvalidRequestError(
            "dimensions",
            f"must be {len(made)}, the width of the model's vectors, not {body.dimensions}",
            remedy="Leave it out.",
        )
    length = float(made.norm())
    numbers = [float(f"{x:.9g}") for x in (made / length if length else made).tolist()]
    return {
        "embedding": numbers,
        "embeddingsByType": {"float": numbers},
        "inputTextTokenCount": tokens,
    }


def _reason(end: Ended) -> str:
    if end.stop is not None:
        return "STOP_CRITERIA_MET"
    return "LENGTH" if end.reason == "length" else "FINISH"


def _chunk(text: str, prompt: int, made: int | None, reason: str | None) -> dict[str, Any]:
    return {
        "outputText": text,
        "index": 0,
        "totalOutputTextTokenCount": made,
        "completionReason": reason,
        "inputTextTokenCount": prompt,
    }
