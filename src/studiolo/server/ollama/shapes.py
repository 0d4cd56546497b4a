"""The shapes of Ollama's objects, for the document that describes the addresses.

Source: Ollama API reference. What an object must have, and of what kind; the client's own types say
the rest, and the tests of each address use those. Times and counts are there when they are known.
"""

from __future__ import annotations

from studiolo.server.schema import several, shape

_COUNTS = {
    "total_duration": "integer",
    "load_duration": "integer",
    "prompt_eval_count": "integer",
    "prompt_eval_duration": "integer",
    "eval_count": "integer",
    "eval_duration": "integer",
}
_ANSWER = {"model": "string", "created_at": "string", "done": "boolean", "done_reason": "string"}
_MORE = {**_COUNTS, "logprobs": several(shape({"token": "string", "logprob": "number"}))}
_VECTOR = several({"type": "number"})
_DETAILS = {"type": "object"}

GENERATED = shape({**_ANSWER, "response": "string"}, _MORE)
CALL = shape(
    {
        "id": "string",
        "function": shape({"index": "integer", "name": "string", "arguments": "object"}),
    }
)
MESSAGE = shape(
    {"role": {"const": "assistant"}, "content": "string"}, {"tool_calls": several(CALL)}
)
CHATTED = shape({**_ANSWER, "message": MESSAGE}, _MORE)
EMBEDDED = shape(
    {"model": "string", "embeddings": several(_VECTOR)},
    {name: _COUNTS[name] for name in ("total_duration", "load_duration", "prompt_eval_count")},
)
LISTED = shape(
    {"name": "string", "model": "string"},
    {"modified_at": "string", "size": "integer", "digest": "string", "details": _DETAILS},
)
SHOWN = shape(
    {"details": _DETAILS, "model_info": "object", "capabilities": several({"type": "string"})},
    {"modified_at": "string", "license": "string", "parameters": "string", "template": "string"},
)
PROGRESS = shape(
    {"status": "string"}, {"digest": "string", "total": "integer", "completed": "integer"}
)
ERROR = shape({"error": "string"})
ANSWERS = {
    "POST /api/generate": GENERATED,
    "POST /api/chat": CHATTED,
    "POST /api/embed": EMBEDDED,
    "POST /api/embeddings": shape({"embedding": _VECTOR}),
    "GET /api/tags": shape({"models": several(LISTED)}),
    "GET /api/ps": shape({"models": several(LISTED)}),
    "POST /api/show": SHOWN,
    "GET /api/version": shape({"version": "string"}),
    "POST /api/pull": PROGRESS,
}
