"""The shapes of Anthropic's objects, for the document that describes the addresses.

Source: Anthropic API reference. What an object must have, and of what kind; the client's own types
say the rest, and the tests of each address use those. ``/v1/models`` is described as OpenAI's.
"""

from __future__ import annotations

from studiolo.server.schema import several, shape

USAGE = shape(
    {
        "input_tokens": "integer",
        "output_tokens": "integer",
        "cache_creation_input_tokens": "integer",
        "cache_read_input_tokens": "integer",
        "service_tier": {"const": "standard"},
    }
)
TEXT = shape({"type": {"const": "text"}, "text": "string"})
TOOL_USE = shape(
    {"type": {"const": "tool_use"}, "id": "string", "name": "string", "input": "object"}
)
MESSAGE = shape(
    {
        "id": "string",
        "type": {"const": "message"},
        "role": {"const": "assistant"},
        "model": "string",
        "content": several({"anyOf": [TEXT, TOOL_USE]}),
        "stop_reason": {"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use"]},
        "stop_sequence": ["string", "null"],
        "usage": USAGE,
    }
)
COUNT = shape({"input_tokens": "integer"})
ERROR = shape(
    {
        "type": {"const": "error"},
        "error": shape({"type": "string", "message": "string"}),
        "request_id": "string",
    }
)
ANSWERS = {"POST /v1/messages": MESSAGE, "POST /v1/messages/count_tokens": COUNT}
