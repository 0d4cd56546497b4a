"""What the tests of Bedrock's dialect ask, and AWS's own clients for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.eventstream import EventStreamBuffer  # type: ignore[import-untyped]

from studiolo.record.receipt import Receipt
from studiolo.task.asking import Event, Outcome

SAID: list[Any] = [{"role": "user", "content": [{"text": "the rain"}]}]
PLAIN: list[Any] = [{"role": "user", "content": "the rain"}]
"""The same as models here are asked it."""
WEATHER: Any = {
    "toolSpec": {
        "name": "weather",
        "description": "The weather of a city.",
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {"city": {"enum": ["Paris", "Rome"]}},
                "required": ["city"],
                "additionalProperties": False,
            }
        },
    }
}


@contextmanager
def aws(
    service: str, url: str, id: str = "any", secret: str = "any", attempts: int = 1, **more: Any
) -> Iterator[Any]:
    """A client of the server at ``url`` that signs with these credentials."""
    client = boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=id,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": attempts}),
        **more,
    )
    try:
        yield client
    finally:
        client.close()


def told_by(stream: Any) -> list[dict[str, Any]]:
    """The events of a stream, to its end."""
    try:
        return list(stream)
    finally:
        stream.close()


def seeded(seed: int, tokens: int = 9, **more: Any) -> dict[str, Any]:
    """A conversation with a seed, which is our own; ``more`` are other dials of ours."""
    return {
        "modelId": "tiny",
        "messages": SAID,
        "inferenceConfig": {"maxTokens": tokens},
        "additionalModelRequestFields": {"seed": seed, **more},
    }


OUTCOME = Outcome(7, 3, 5, 0.1, 0.2)


class Said:
    """An answer of events that are given."""

    fingerprint, prompt_tokens, outcome = "fp_1", 7, OUTCOME

    def __init__(self, said: Sequence[Event]) -> None:
        self._said = said

    async def __aiter__(self) -> AsyncIterator[Event]:
        for event in self._said:
            yield event

    def receipt(self) -> Receipt | None:
        return None


def gathered(items: AsyncIterator[Any]) -> list[Any]:
    """All of them."""

    async def read() -> list[Any]:
        return [each async for each in items]

    return asyncio.run(read())


def unframed(stream: bytes) -> list[tuple[str, Any]]:
    """The kind and the value of each event."""
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [(each.headers[":event-type"], json.loads(each.payload)) for each in buffer]
