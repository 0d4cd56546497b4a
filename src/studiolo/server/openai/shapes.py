"""The shapes of OpenAI's objects, for the document that describes the addresses.

Source: OpenAI API reference. What an object must have, and of what kind; the clients' own types
say the rest, and the tests of each address use those.
"""

from __future__ import annotations

from typing import Any

from studiolo.server.schema import several, shape


def _one(value: str) -> dict[str, Any]:
    return {"const": value}


def _list(each: dict[str, Any]) -> dict[str, Any]:
    return shape({"object": _one("list"), "data": several(each)})


_COUNTS = {"prompt_tokens": "integer", "completion_tokens": "integer", "total_tokens": "integer"}
_REASON = {"enum": ["stop", "length", "tool_calls"]}
_CALL = shape(
    {
        "id": "string",
        "type": _one("function"),
        "function": shape({"name": "string", "arguments": "string"}),
    }
)
_MESSAGE = shape(
    {"role": _one("assistant"), "content": ["string", "null"], "refusal": "null"},
    {"tool_calls": several(_CALL)},
)
_ANSWER = {"id": "string", "created": "integer", "model": "string", "system_fingerprint": "string"}
_CHOICE = {"index": "integer", "finish_reason": _REASON, "logprobs": ["object", "null"]}

CHAT = shape(
    {
        **_ANSWER,
        "object": _one("chat.completion"),
        "choices": several(shape({**_CHOICE, "message": _MESSAGE})),
        "usage": shape(_COUNTS),
    }
)
COMPLETION = shape(
    {
        **_ANSWER,
        "object": _one("text_completion"),
        "choices": several(shape({**_CHOICE, "text": "string"})),
        "usage": shape(_COUNTS),
    }
)
EMBEDDINGS = shape(
    {
        "object": _one("list"),
        "model": "string",
        "data": several(
            shape(
                {
                    "object": _one("embedding"),
                    "index": "integer",
                    "embedding": {"anyOf": [several({"type": "number"}), {"type": "string"}]},
                }
            )
        ),
        "usage": shape({"prompt_tokens": "integer", "total_tokens": "integer"}),
    }
)
MODEL = shape({"id": "string", "object": _one("model"), "created": "integer", "owned_by": "string"})
FILE = shape(
    {
        "id": "string",
        "object": _one("file"),
        "bytes": "integer",
        "created_at": "integer",
        "filename": "string",
        "purpose": "string",
    }
)
BATCH = shape(
    {
        "id": "string",
        "object": _one("batch"),
        "endpoint": "string",
        "input_file_id": "string",
        "completion_window": "string",
        "status": "string",
        "created_at": "integer",
    }
)
RESPONSE = shape(
    {
        "id": "string",
        "object": _one("response"),
        "created_at": "number",
        "model": "string",
        "status": "string",
        "output": several(shape({"type": "string"})),
    }
)
ERROR = shape(
    {
        "error": shape(
            {
                "message": "string",
                "type": "string",
                "param": ["string", "null"],
                "code": ["string", "null"],
            }
        )
    }
)
ANSWERS = {
    "POST /v1/chat/completions": CHAT,
    "POST /v1/completions": COMPLETION,
    "POST /v1/embeddings": EMBEDDINGS,
    "POST /v1/responses": RESPONSE,
    "GET /v1/responses/{id}": RESPONSE,
    "GET /v1/models": _list(MODEL),
    "GET /v1/models/{model}": MODEL,
    "GET /v1/files": _list(FILE),
    "POST /v1/files": FILE,
    "GET /v1/files/{id}": FILE,
    "GET /v1/batches": _list(BATCH),
    "POST /v1/batches": BATCH,
    "GET /v1/batches/{id}": BATCH,
    "POST /v1/batches/{id}/cancel": BATCH,
}
