"""Labelled examples from JSONL: chats, and prompts with what completes them, as token ids.

A line is ``{"messages": [{"role", "content"}, …]}``, as OpenAI's fine-tuning files are, or
``{"prompt": text, "completion": text}``. Of a chat, rendered by the model's own template, the
answers count: each assistant's message up to and with the token that ends it. Of a completion, all
of it counts and an end token after it. Knows text and the template; does not know training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from studiolo.errors import ChatTemplateError, InvalidRequestError
from studiolo.modality.text.conversation import encode_chat
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.packing import Example

SHAPE = (
    'such as {"messages": [{"role": "user", "content": "…"}, …]} or {"prompt": …, "completion": …}'
)
MAX_LINE = 16 << 20


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file, with the numbers of their lines; blank lines are left out.

    Raises :class:`InvalidRequestError`, naming the line, for what is no UTF-8, no JSON or no
    object, and for a line of more than :data:`MAX_LINE` bytes.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise wrong(path, number, f"is longer than {MAX_LINE:,} bytes")
                if line.strip():
                    yield number, _object(path, number, line)
    except OSError as error:
        raise InvalidRequestError(
            "data.path", f"{str(path)!r} cannot be read: {error.strerror}"
        ) from None


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise wrong(path, number, f"is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise wrong(path, number, f"is no object but {type(value).__name__}")
    return value


def wrong(path: Path, number: int, what: str, remedy: str | None = None) -> InvalidRequestError:
    """That a line is not as it should be."""
    return InvalidRequestError(
        "data.path", f"{str(path)!r}, line {number:,}: {what}", remedy=remedy
    )


Read = TypeVar("Read")


def read_all(
    path: Path, tokenizer: Tokenizer, read: Callable[[Mapping[str, Any], Tokenizer], Read]
) -> list[Read]:
    """What ``read`` makes of every line; raises :class:`InvalidRequestError`, naming the line."""
    found = []
    for number, value in read_lines(path):
        try:
            found.append(read(value, tokenizer))
        except (ValueError, ChatTemplateError) as error:
            raise wrong(path, number, str(error)) from None
    if not found:
        raise InvalidRequestError("data.path", f"{str(path)!r} has no examples")
    return found


def example(value: Mapping[str, Any], tokenizer: Tokenizer) -> Example:
    """One line's example; raises ``ValueError`` for what is none."""
    match value:
        case {"messages": list(messages)}:
            return _chat(messages, tokenizer)
        case {"prompt": str(prompt), "completion": str(completion)}:
            return completed(prompt, completion, tokenizer)
        case _:
            raise ValueError(f"has no messages, nor prompt and completion as text, {SHAPE}")


def completed(prompt: str, completion: str, tokenizer: Tokenizer) -> Example:
    """A prompt whose completion counts; raises ``ValueError`` if that or the prompt is empty."""
    asked = tokenizer.encode(prompt)
    answer = [*tokenizer.encode(completion, add_special=False), *_end(tokenizer)]
    if not asked or not completion:
        raise ValueError(f"its {'prompt' if completion else 'completion'} is empty")
    return _of(asked + answer, [(len(asked), len(asked) + len(answer))])


def pair(value: Mapping[str, Any], tokenizer: Tokenizer) -> tuple[Example, Example]:
    """One line's chosen and rejected answer; raises ``ValueError`` for what is none.

    Both stand after ``prompt``, a text or messages; or each is a whole chat.
    """
    match value:
        case {"prompt": str(prompt), "chosen": str(chosen), "rejected": str(rejected)}:
            found = [completed(prompt, text, tokenizer) for text in (chosen, rejected)]
        case {"prompt": list(prompt), "chosen": str(chosen), "rejected": str(rejected)}:
            answers = [{"role": "assistant", "content": text} for text in (chosen, rejected)]
            found = [_chat([*prompt, answer], tokenizer) for answer in answers]
        case {"chosen": list(chosen), "rejected": list(rejected)}:
            found = [_chat(messages, tokenizer) for messages in (chosen, rejected)]
        case _:
            raise ValueError('has no {"prompt": …, "chosen": text, "rejected": text}')
    return found[0], found[1]


def asked(prompt: object, tokenizer: Tokenizer) -> list[int]:
    """The ids of a prompt, a text or messages; raises ``ValueError`` for what is none."""
    match prompt:
        case str() if prompt:
            return tokenizer.encode(prompt)
        case list():
            return encode_chat(tokenizer, prompt)
        case _:
            raise ValueError("has no prompt, a text or a list of messages")


def _chat(messages: Sequence[Any], tokenizer: Tokenizer) -> Example:
    answers = [
        i
        for i, message in enumerate(messages)
        if isinstance(message, Mapping) and message.get("role") == "assistant"
    ]
    if not answers or answers[0] == 0:
        raise ValueError("it has no answer of the assistant to a message before")
    whole = encode_chat(tokenizer, messages[: answers[-1] + 1], ask=False)
    spans = []
    for i in answers:
        start = encode_chat(tokenizer, messages[:i])
        end = encode_chat(tokenizer, messages[: i + 1], ask=False)
        if whole[: len(end)] != end or end[: len(start)] != start:
            raise ValueError(
                "the model's chat template writes an answer otherwise when more follows, so that "
                f"what message {i} should be learnt as is not known"
            )
        ends = [at for at in range(len(start), len(end)) if end[at] in tokenizer.eos_ids]
        spans.append((len(start), ends[0] + 1 if ends else len(end)))
    return _of(whole, spans)


def _of(ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> Example:
    counts = np.zeros(len(ids), np.bool_)
    for start, end in spans:
        counts[start:end] = True
    return Example(np.array(ids, np.int64), counts)


def _end(tokenizer: Tokenizer) -> list[int]:
    """The end token that a text gets: the one that the file names, if it has several."""
    named = tokenizer.special.get("eos_token")
    known = sorted(tokenizer.eos_ids)
    return [next((i for i in known if tokenizer.token_text(i) == named), known[0])] if known else []
