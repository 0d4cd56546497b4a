"""What the tests of Bedrock's dialect ask, and AWS's own clients for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

from tests.server.serving import Served

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
    service: str, served: Served, id: str = "any", secret: str = "any", attempts: int = 1
) -> Iterator[Any]:
    """A client that signs with these credentials."""
    retries = {"total_max_attempts": attempts}
    client = boto3.client(
        service,
        endpoint_url=served.url,
        region_name="us-east-1",
        aws_access_key_id=id,
        aws_secret_access_key=secret,
        config=Config(retries=retries),
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
