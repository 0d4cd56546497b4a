"""A conversation of the Anthropic API as models here are asked it.

Blocks become messages in OpenAI's form, which chat templates know. What one speaker says without a
break is one message: the texts of a user or of the system are joined by line breaks, those of the
assistant as they are, since an answer is given in parts that belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from studiolo.errors import InvalidRequestError
from studiolo.server.anthropic.bodies import (
    AssistantTurn,
    ChooseNone,
    ChooseOne,
    ClientTool,
    MessageBody,
    PromptBody,
    SystemTurn,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserTurn,
)
from studiolo.server.anthropic.errors import THREAD
from studiolo.task.asking import Message, TextAsk

NAMES = {"stop": "stop_sequences", "json_schema": "output_config.format.schema"}
"""What the API calls our options."""


def ask(body: PromptBody, model: str) -> TextAsk:
    """What ``body`` asks of ``model``. Raises :class:`InvalidRequestError`."""
    if body.thread is not None:
        raise InvalidRequestError(
            THREAD, "conversations are not kept here", remedy="Send all messages each time."
        )
    choice, parallel = _choice(body)
    messages = conversation(body)
    last = messages[-1]
    if last["role"] == "assistant" and str(last["content"])[-1:].isspace():
        raise InvalidRequestError(
            f"messages.{len(body.messages) - 1}.content",
            "an answer cannot be begun with white space at its end",
        )
    return TextAsk(
        model=model,
        messages=messages,
        tools=[_offered(tool) for tool in body.tools or ()],
        tool_choice=choice,
        parallel=parallel,
        options=_options(body) if isinstance(body, MessageBody) else {},
    )


def conversation(body: PromptBody) -> list[Message]:
    """The messages for a chat template. Raises :class:`InvalidRequestError`."""
    messages: list[dict[str, Any]] = []
    called: dict[str, str] = {}
    if body.system is not None:
        messages.append({"role": "system", "content": _text(body.system, "\n")})
    for place, turn in enumerate(body.messages):
        if isinstance(turn, AssistantTurn):
            _all_answered(called, f"messages.{place}")
        for message in _said(turn, place, called):
            last = messages[-1] if messages else {}
            if message["role"] == last.get("role") != "tool":
                _join(last, message)
            else:
                messages.append(message)
    _all_answered(called, "messages")
    return list(messages)


def _said(
    turn: UserTurn | AssistantTurn | SystemTurn, place: int, called: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """The messages of one turn; ``called``: names of tools whose results are to come, by id."""
    if isinstance(turn.content, str):
        yield {"role": turn.role, "content": turn.content}
        return
    if not turn.content:
        yield {"role": turn.role, "content": ""}
    for i, block in enumerate(turn.content):
        if isinstance(block, TextBlock):
            yield {"role": turn.role, "content": block.text}
        elif isinstance(block, ToolUseBlock):
            called[block.id] = block.name
            function = {"name": block.name, "arguments": block.input}
            call = {"id": block.id, "type": "function", "function": function}
            yield {"role": turn.role, "content": "", "tool_calls": [call]}
        else:
            yield _result(block, f"messages.{place}.content.{i}", called)


def _result(block: ToolResultBlock, field: str, called: dict[str, str]) -> dict[str, Any]:
    name = called.pop(block.tool_use_id, None)
    if name is None:
        raise InvalidRequestError(
            f"{field}.tool_use_id",
            f"{block.tool_use_id!r:.80} is no tool_use of the assistant's turn before",
        )
    text = _text(block.content or "", "\n")
    return {
        "role": "tool",
        "content": f"Error: {text}" if block.is_error else text,
        "name": name,
        "tool_call_id": block.tool_use_id,
    }


def _all_answered(called: dict[str, str], field: str) -> None:
    if called:
        raise InvalidRequestError(
            field, f"the tool_use {next(iter(called))!r:.80} has no tool_result after it"
        )


def _join(last: dict[str, Any], message: dict[str, Any]) -> None:
    """Let ``last`` go on with ``message``, of the same speaker."""
    between = "" if message["role"] == "assistant" else "\n"
    texts = [text for text in (last["content"], message["content"]) if text]
    last["content"] = between.join(texts)
    if "tool_calls" in message:
        last["tool_calls"] = [*last.get("tool_calls", ()), *message["tool_calls"]]


def _text(content: str | Sequence[TextBlock], between: str) -> str:
    return content if isinstance(content, str) else between.join(block.text for block in content)


def _choice(body: PromptBody) -> tuple[str, bool]:
    """Which tools are called, in our words, and whether several may be."""
    wanted = body.tool_choice
    if wanted is None:
        return "auto", True
    if isinstance(wanted, ChooseNone):
        return "none", True
    if not body.tools:
        raise InvalidRequestError("tool_choice", "needs tools to choose from")
    parallel = not wanted.disable_parallel_tool_use
    if isinstance(wanted, ChooseOne):
        return wanted.name, parallel
    return ("auto" if wanted.type == "auto" else "required"), parallel


def _offered(tool: ClientTool) -> Message:
    """A tool as chat templates know it."""
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _options(body: MessageBody) -> dict[str, Any]:
    """Those of :meth:`LanguageModel.prepare`."""
    given: dict[str, Any] = {
        "max_tokens": body.max_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_k": body.top_k,
        "stop": body.stop_sequences,
        "seed": body.seed,
        "ignore_eos": body.ignore_eos,
    }
    found = {name: value for name, value in given.items() if value is not None}
    if body.output_config is not None and body.output_config.format is not None:
        found["json_schema"] = body.output_config.format.schema_
    return found
