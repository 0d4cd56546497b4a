"""Requests of the Ollama API as models here are asked them.

``num_predict`` may leave open how long an answer gets: until the model ends it, or its context, or
``num_ctx`` of that, is full. Memory is set aside for all that may come, so a request that says
nothing at all gets at most as much as Ollama's whole context is by default.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from studiolo.errors import ContextOverflowError, InvalidRequestError
from studiolo.server.ollama.bodies import (
    OllamaChatBody,
    OllamaGenerateBody,
    OllamaMessage,
    OllamaOptions,
    OllamaTextBody,
)
from studiolo.server.prompts import encoded
from studiolo.task.asking import Message, TextAsk
from studiolo.task.openai.messages import offered
from studiolo.task.text import LanguageModel

UNSAID = 4096
"""The most tokens of an answer to a request that says nothing of them."""
_OURS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "stop": "stop",
    "ignore_eos": "ignore_eos",
}
NAMES = {
    **{ours: f"options.{theirs}" for theirs, ours in _OURS.items()},
    "max_tokens": "options.num_predict",
    "json_schema": "format",
    "log_probs": "top_logprobs",
}
"""What the API calls our options."""


def completion(body: OllamaGenerateBody, model: str) -> TextAsk:
    """What ``/api/generate`` asks of ``model``: through its chat template, or raw."""
    options, prompt = _options(body), body.prompt or ""
    if body.suffix:
        if body.system:
            raise InvalidRequestError("system", "goes with no suffix")
        return TextAsk(model=model, prompt=prompt, suffix=body.suffix, options=options)
    if body.raw:
        if body.system:
            raise InvalidRequestError("system", "goes with no raw prompt")
        return TextAsk(model=model, prompt=prompt, options=options)
    messages = [{"role": "system", "content": body.system}] if body.system else []
    messages.append({"role": "user", "content": prompt})
    return TextAsk(model=model, messages=messages, options=options)


def chat(body: OllamaChatBody, model: str) -> TextAsk:
    """What ``/api/chat`` asks of ``model``."""
    turns = body.messages or ()
    return TextAsk(
        model=model,
        messages=[_message(turn, i) for i, turn in enumerate(turns)],
        tools=offered(body.tools),
        options=_options(body),
    )


async def fitted(lm: LanguageModel, ask: TextAsk, options: OllamaOptions | None) -> TextAsk:
    """``ask`` with as many tokens as ``options`` let an answer to it have.

    A model without a chat template is given the user's words alone, as Ollama does. Raises
    :class:`InvalidRequestError`, :class:`ContextOverflowError`.
    """
    if lm.tokenizer.chat_template is None and ask.messages and len(ask.messages) == 1:
        ask = replace(ask, messages=None, prompt=str(ask.messages[0]["content"]))
    context, asked = lm.config.context, options or OllamaOptions()
    limit = context if asked.num_ctx is None else asked.num_ctx
    if limit > context:
        raise InvalidRequestError(
            "options.num_ctx", f"is {limit:,}, and {lm.name}'s context holds {context:,} tokens"
        )
    read = len(await encoded(lm, ask))
    wanted = wished(options)
    if wanted is None:
        left = max(1, limit - read)
        wanted = left if asked.num_predict is not None else min(left, UNSAID)
    if read + wanted > limit:
        raise ContextOverflowError(read, wanted, limit)
    return replace(ask, options={**ask.options, "max_tokens": wanted})


def wished(options: OllamaOptions | None) -> int | None:
    """The most tokens of an answer, if a number of them is asked for."""
    wanted = None if options is None else options.num_predict
    if wanted == 0:
        raise InvalidRequestError(
            "options.num_predict", "must be 1 or more, or -1 for all that fit, not 0"
        )
    return None if wanted is None or wanted < 0 else wanted


def _options(body: OllamaTextBody) -> dict[str, Any]:
    """Those of :meth:`LanguageModel.prepare`, without ``max_tokens``."""
    given = body.options or OllamaOptions()
    found = {
        ours: value
        for theirs, ours in _OURS.items()
        if (value := getattr(given, theirs)) is not None
    }
    if given.seed is not None and given.seed >= 0:
        found["seed"] = given.seed
    if body.format == "json":
        found["json_schema"] = {"type": "object"}
    elif body.format:
        found["json_schema"] = body.format
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequestError("top_logprobs", "needs logprobs to be true")
    if body.logprobs:
        found["log_probs"] = body.top_logprobs or 0
    return found


def _message(turn: OllamaMessage, place: int) -> Message:
    message: dict[str, object] = {"role": turn.role, "content": turn.content or ""}
    if turn.role != "assistant" and turn.tool_calls:
        raise InvalidRequestError(f"messages.{place}.tool_calls", "are the assistant's alone")
    if turn.role != "tool" and (turn.tool_name or turn.tool_call_id):
        raise InvalidRequestError(f"messages.{place}.tool_name", "is for what a tool gave alone")
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                **({} if call.id is None else {"id": call.id}),
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_name is not None:
        message["name"] = turn.tool_name
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    return message
