"""What the tests of Anthropic's dialect ask."""

from __future__ import annotations

from typing import Any

SAID: list[Any] = [{"role": "user", "content": "the rain"}]
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def seeded(seed: int, **more: Any) -> dict[str, Any]:
    """A request with a seed, which is our own; ``more`` is what the client does not know."""
    return {
        "model": "tiny", "max_tokens": 9, "messages": SAID, "extra_body": {"seed": seed, **more}
    }  # fmt: skip
