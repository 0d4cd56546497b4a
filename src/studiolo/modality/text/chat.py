"""Messages to a prompt, through the model's own chat template.

A template is a program that came with a model's file, so it runs in jinja's
immutable sandbox and within bounds (:mod:`studiolo.modality.text.bounded_jinja`): of
its length, of time, of what it may build on the way and write. The environment is the one that
templates are written for, that of ``transformers``: ``trim_blocks``,
``lstrip_blocks``, loop controls, ``tojson`` that escapes no HTML,
``raise_exception``, ``strftime_now``, and ``{% generation %}`` blocks.

Notable choices: messages are checked before the template sees them, since most
templates turn a mistake into silent nonsense; and the template is handed copies made
of plain JSON types, since the sandbox knows nothing of other objects' methods.

Deliberately unknown here: the tokenizer, and what any role means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError

from studiolo.errors import ChatTemplateError
from studiolo.modality.text.bounded_jinja import BoundedEnvironment, OutOfTime, Rejected

ROLES = ("system", "developer", "user", "assistant", "tool")
MAX_TEMPLATE = 1_000_000
"""Longest template, in characters; the longest in use have some 20,000."""
MAX_SECONDS = 5.0
"""Longest that a template may run; usual ones take about a millisecond."""
MAX_GROWTH = 2_000_000
"""Characters (or items) that any value may have, beyond what the messages hold."""


def render_chat(
    template: str,
    messages: Sequence[Mapping[str, object]],
    *,
    tools: Sequence[Mapping[str, object]] | None = None,
    add_generation_prompt: bool = True,
    special: Mapping[str, str],
) -> str:
    """The prompt that ``template`` makes of ``messages``.

    Each message is a mapping with ``role`` (one of :data:`ROLES`) and ``content`` (text,
    a list of parts, or ``None`` beside ``tool_calls``). ``add_generation_prompt``: end
    with what begins an answer. ``special``: ``bos_token``, ``eos_token`` … as the template
    names them. Raises :class:`ChatTemplateError` for messages that are no messages, and
    for a template that is broken, rejects the messages, or exceeds its bounds.
    """
    check_messages(messages)
    if len(template) > MAX_TEMPLATE:
        raise ChatTemplateError(f"the chat template is longer than {MAX_TEMPLATE:,} characters")
    values: dict[str, object] = {
        **special,
        "messages": plain(messages),
        "tools": plain(tools),
        "documents": None,
        "add_generation_prompt": add_generation_prompt,
    }
    allowed = MAX_GROWTH + len(json.dumps([values["messages"], values["tools"]]))
    try:
        environment = BoundedEnvironment(MAX_SECONDS, allowed)
        return environment.from_string(template).render(values)
    except OutOfTime as error:
        raise ChatTemplateError(
            f"the model's chat template did not finish within {MAX_SECONDS:g} seconds"
        ) from error
    except jinja2.TemplateSyntaxError as error:
        raise ChatTemplateError(
            f"the model's chat template is broken in line {error.lineno}: {error.message}"
        ) from error
    except Rejected as error:
        raise ChatTemplateError(f"the model's chat template says: {error}") from error
    except SecurityError as error:
        raise ChatTemplateError(f"the model's chat template is not safe to run: {error}") from error
    except (jinja2.TemplateError, RecursionError, MemoryError) as error:
        raise ChatTemplateError(f"the model's chat template failed: {error}") from error
    except Exception as error:  # whatever a stranger's program raises
        raise ChatTemplateError(
            f"the model's chat template failed: {type(error).__name__}: {error}"
        ) from error


def check_messages(messages: object) -> None:
    """Raise :class:`ChatTemplateError` unless ``messages`` is a list that can be a chat."""
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise ChatTemplateError(
            f"a list of messages is wanted, not {type(messages).__name__}",
            remedy='For example [{"role": "user", "content": "Hello"}].',
        )
    if not messages:
        raise ChatTemplateError("the list is empty; a chat needs at least one message")
    for number, message in enumerate(messages):
        where = f"message {number}"
        if not isinstance(message, Mapping):
            raise ChatTemplateError(f"{where} is a {type(message).__name__}, not a mapping")
        role = message.get("role")
        if role not in ROLES:
            raise ChatTemplateError(f"{where} has the role {role!r}; it may be {', '.join(ROLES)}")
        content = message.get("content")
        if content is None and (message.get("tool_calls") and role == "assistant"):
            continue
        parts = isinstance(content, Sequence) and not isinstance(content, bytes)
        if not isinstance(content, str) and not (
            parts and all(isinstance(part, Mapping) for part in content)  # type: ignore[union-attr]
        ):
            raise ChatTemplateError(
                f"{where} ({role}) has content of type {type(content).__name__}; "
                "it may be text or a list of parts"
            )


def plain(value: object) -> Any:
    """A copy of plain JSON types; what is none becomes the name of its type.

    Raises :class:`ChatTemplateError` for what is nested too deep, or in itself.
    """
    try:
        return _plain(value)
    except RecursionError:
        raise ChatTemplateError("the messages or tools are nested too deep") from None


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item) for item in value]
    return f"<{type(value).__name__}>"


def _key(key: object) -> Any:
    plain_key = _plain(key)
    return f"<{type(key).__name__}>" if isinstance(plain_key, list | dict) else plain_key
