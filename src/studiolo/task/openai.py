"""The OpenAI API's words: the body of a request read, the body of an answer written.

Chat completions, completions and embeddings, not streamed. Every field is known by name, and one
that is not is an error: what would be ignored might have been meant. Beside OpenAI's own there
are the other dials of :class:`Decoding`, ``ignore_eos`` and the constraints. Values are checked by
whoever uses them, except where ours and OpenAI's differ. ``null`` is as if the field were absent.

This module does not know models that run, nor HTTP.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from studiolo.errors import InvalidRequestError
from studiolo.family.autoregressive import TokenChoice
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.sampler.constraint import KINDS
from studiolo.sampler.settings import Decoding
from studiolo.task.generation import Generation

Url = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]
CHAT: Url = "/v1/chat/completions"
COMPLETIONS: Url = "/v1/completions"
EMBEDDINGS: Url = "/v1/embeddings"
URLS: tuple[Url, ...] = (CHAT, COMPLETIONS, EMBEDDINGS)

_SHARED = ("model", "user", "stream", "max_tokens", "n", "seed", "stop", "logprobs", "ignore_eos")
_TEXT = {*_SHARED, *Decoding.model_fields, *KINDS, "response_format"}
FIELDS: Mapping[Url, frozenset[str]] = {
    CHAT: frozenset({*_TEXT, "messages", "max_completion_tokens", "top_logprobs"}),
    COMPLETIONS: frozenset({*_TEXT, "prompt", "echo"}),
    EMBEDDINGS: frozenset({"model", "user", "input", "encoding_format"}),
}
MAX_TOP = 20
"""Alternatives to each token, as at OpenAI."""


@dataclass(frozen=True)
class Asked:
    """A body, read. ``subject``: the prompt, the messages, or the list of inputs."""

    url: Url
    model: str | None
    subject: Any
    options: Mapping[str, Any]


def read_body(url: Url, body: Mapping[str, Any]) -> Asked:
    """What ``body`` asks for; ``options`` are those of :meth:`LanguageModel.generate`.

    Of embeddings the one option is ``encoding_format``. Raises :class:`InvalidRequestError`.
    """
    given = {name: value for name, value in body.items() if value is not None}
    for name in given:
        if name not in FIELDS[url]:
            raise InvalidRequestError(
                str(name), f"{url} has no such field here",
                remedy=f"There are {', '.join(sorted(FIELDS[url]))}.",
            )  # fmt: skip
    model = given.pop("model", None)
    if model is not None and not isinstance(model, str):
        raise InvalidRequestError("model", f"must be a name, not {model!r:.60}")
    given.pop("user", None)
    if url == EMBEDDINGS:
        return _embedding(model, given)
    for name in ("stream", "echo", "ignore_eos"):
        if not isinstance(given.get(name, False), bool):
            raise InvalidRequestError(name, "must be true or false")
    for name in ("stream", "echo"):
        if given.pop(name, False):
            raise InvalidRequestError(name, "is not possible here", remedy="Leave it out.")
    if isinstance(bias := given.get("logit_bias"), Mapping):
        given["logit_bias"] = {_id(key): value for key, value in bias.items()}
    _constrain(given)
    return (_chat if url == CHAT else _completion)(model, given)


def _chat(model: str | None, given: dict[str, Any]) -> Asked:
    messages = given.pop("messages", None)
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise InvalidRequestError("messages", "must be a list of objects with role and content")
    if "max_completion_tokens" in given:
        if "max_tokens" in given:
            raise InvalidRequestError("max_tokens", "is given twice, by its old name and its new")
        given["max_tokens"] = given.pop("max_completion_tokens")
    wanted, top = given.pop("logprobs", False), given.pop("top_logprobs", None)
    if not isinstance(wanted, bool):
        raise InvalidRequestError("logprobs", "must be true or false")
    if top is not None and not wanted:
        raise InvalidRequestError("top_logprobs", "needs logprobs to be true")
    if wanted:
        given["log_probs"] = _top("top_logprobs", top or 0)
    return Asked(CHAT, model, messages, given)


def _completion(model: str | None, given: dict[str, Any]) -> Asked:
    prompt = given.pop("prompt", None)
    if not isinstance(prompt, str) and not _ids(prompt):
        raise InvalidRequestError("prompt", "must be one text, or the token ids of one")
    if "logprobs" in given:
        given["log_probs"] = _top("logprobs", given.pop("logprobs"))
    return Asked(COMPLETIONS, model, prompt, given)


def _embedding(model: str | None, given: dict[str, Any]) -> Asked:
    subject = given.pop("input", None)
    texts = [subject] if isinstance(subject, str) or _ids(subject) else subject
    if not isinstance(texts, list) or not texts:
        raise InvalidRequestError("input", "must be a text, or a list of texts or of token ids")
    if not all(isinstance(text, str) or _ids(text) for text in texts):
        raise InvalidRequestError("input", "holds what is neither text nor token ids")
    if given.get("encoding_format", "float") not in ("float", "base64"):
        raise InvalidRequestError("encoding_format", "must be float or base64")
    return Asked(EMBEDDINGS, model, texts, given)


def _constrain(given: dict[str, Any]) -> None:
    """``response_format`` as one of our constraints."""
    wanted = given.pop("response_format", None)
    if wanted is None:
        return
    if not isinstance(wanted, Mapping):
        raise InvalidRequestError("response_format", "must be an object with a type")
    if "json_schema" in given:
        raise InvalidRequestError("json_schema", "is given twice, alone and in response_format")
    match wanted.get("type"):
        case "text" if set(wanted) == {"type"}:
            return
        case "json_object" if set(wanted) == {"type"}:
            given["json_schema"] = {"type": "object"}
        case "json_schema" if set(wanted) == {"type", "json_schema"}:
            inner = wanted["json_schema"]
            known = {"name", "description", "schema", "strict"}
            if not isinstance(inner, Mapping) or "schema" not in inner or set(inner) - known:
                raise InvalidRequestError(
                    "response_format", "json_schema must hold name, schema and strict, no more"
                )
            given["json_schema"] = inner["schema"]
        case _:
            raise InvalidRequestError(
                "response_format", "must be of type text, json_object or json_schema, and no more"
            )


def _ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def _id(key: object) -> object:
    return int(key) if isinstance(key, str) and key.isascii() and key.isdigit() else key


def _top(field: str, value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_TOP:
        raise InvalidRequestError(field, f"must be a whole number, 0 to {MAX_TOP}")
    return value


def write_text(
    url: Url, tokenizer: Tokenizer, made: Generation, *, id: str, created: int, model: str
) -> dict[str, Any]:
    """The body of an answer of :data:`CHAT` or :data:`COMPLETIONS`. ``created``: Unix seconds."""
    voices = (made, *made.alternatives)
    choices: list[dict[str, Any]] = []
    for index, each in enumerate(voices):
        chosen: dict[str, Any] = {"index": index, "finish_reason": each.finish_reason}
        if url == CHAT:
            chosen["message"] = {"role": "assistant", "content": each.text, "refusal": None}
            chosen["logprobs"] = _chat_log_probs(tokenizer, each.log_probs)
        else:
            chosen["text"] = each.text
            chosen["logprobs"] = _completion_log_probs(tokenizer, each.log_probs)
        choices.append(chosen)
    usage = made.usage
    return {
        "id": ("chatcmpl-" if url == CHAT else "cmpl-") + id,
        "object": "chat.completion" if url == CHAT else "text_completion",
        "created": created,
        "model": model,
        "choices": choices,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    }


def _chat_log_probs(
    tokenizer: Tokenizer, choices: Sequence[TokenChoice] | None
) -> dict[str, Any] | None:
    if choices is None:
        return None

    def entry(id: int, log_prob: float) -> dict[str, Any]:
        known = id < tokenizer.vocab_size  # a model's table may have more rows
        spelled = list(tokenizer.token_bytes(id)) if known else None
        return {"token": _spelled(tokenizer, id), "logprob": _finite(log_prob), "bytes": spelled}

    return {
        "content": [
            {**entry(each.id, each.log_prob), "top_logprobs": [entry(*pair) for pair in each.top]}
            for each in choices
        ],
        "refusal": None,
    }


def _completion_log_probs(
    tokenizer: Tokenizer, choices: Sequence[TokenChoice] | None
) -> dict[str, Any] | None:
    if choices is None:
        return None
    return {
        "tokens": [_spelled(tokenizer, each.id) for each in choices],
        "token_logprobs": [_finite(each.log_prob) for each in choices],
        "top_logprobs": [
            {_spelled(tokenizer, id): _finite(p) for id, p in each.top} for each in choices
        ],
    }


def _spelled(tokenizer: Tokenizer, id: int) -> str:
    return tokenizer.token_text(id) if id < tokenizer.vocab_size else f"<{id}>"


def _finite(log_prob: float) -> float:
    """JSON has no infinity; OpenAI writes -9999 for it."""
    return max(log_prob, -9999.0)


def write_embeddings(
    vectors: Sequence[Tensor], tokens: int, *, encoding: str, model: str
) -> dict[str, Any]:
    """The body of an answer of :data:`EMBEDDINGS`; ``vectors``: float32 ``[width]`` each."""
    data: list[dict[str, Any]] = []
    for index, vector in enumerate(vectors):
        embedding: object
        if encoding == "base64":
            embedding = base64.b64encode(vector.numpy().astype(np.dtype("<f4")).tobytes()).decode()
        else:
            embedding = [float(f"{x:.9g}") for x in vector.tolist()]  # enough for any float32
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    return {
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def write_error(error: Exception) -> tuple[int, dict[str, Any]]:
    """The status and the body that tell of ``error``: 400 where the request is at fault, else 500.

    404 is for a model that is not here.
    """
    from studiolo.errors import MemoryLimitError, StudioloError, UnknownModelError

    status, kind, field = 500, "server_error", None
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, StudioloError):
        message = error.message if error.remedy is None else f"{error.message}. {error.remedy}"
    if isinstance(error, UnknownModelError):
        status, kind, field = 404, "invalid_request_error", "model"
    elif isinstance(error, InvalidRequestError | MemoryLimitError):
        status, kind = 400, "invalid_request_error"
        field = getattr(error, "field", None)
    code = type(error).__name__
    return status, {"error": {"message": message, "type": kind, "param": field, "code": code}}
