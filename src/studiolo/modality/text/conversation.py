"""A conversation to token ids, so that what somebody wrote cannot become a control token.

A chat template writes control tokens between the messages as text, so the prompt it makes
must be read with those recognised. A message may hold such text too, by accident or to pass
for another speaker. Before the template runs, every control token's text inside a message
gets a private mark after its first character; afterwards the marks tell what came from where.

Notable choices:

- The mark is a private-use character that neither the conversation nor the template holds,
  so that nobody can write it. Case changes, trimming and JSON leave it alone.
- A message's end that could be the beginning of a control token is marked as well: a
  template may join the parts of a message.
- A stretch of text between two of the template's control tokens in which somebody wrote one
  is read whole as plain text, as ``Tokenizer.encode`` does by default. All other text is
  read as ever: without such writing the ids are those of the rendered prompt.

Deliberately unknown here: any particular template, model or role.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studiolo.errors import ChatTemplateError
from studiolo.modality.text.chat import check_messages, plain, render_chat
from studiolo.modality.text.tokenizer import Tokenizer

PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


def encode_chat(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping[str, object]],
    tools: Sequence[Mapping[str, object]] | None = None,
    *,
    ask: bool = True,
) -> list[int]:
    """Token ids of a conversation; if ``ask``, up to where the answer begins.

    Other arguments as of :func:`studiolo.modality.text.chat.render_chat`. Control tokens come of
    the template alone. Raises :class:`ChatTemplateError`, also if there is no template.
    """
    template = tokenizer.chat_template
    if template is None:
        raise ChatTemplateError("the model has no chat template")
    check_messages(messages)
    said, offered = plain(messages), plain(tools)
    controls = _Controls(tokenizer.control_texts)
    marker = _Marker(controls, _mark_unlike(template, said, offered))
    rendered = render_chat(
        template,
        marker.marked(said),
        tools=marker.marked(offered),
        add_generation_prompt=ask,
        special=tokenizer.special,
    )
    text, written = _unmarked(rendered, marker.mark)
    ids: list[int] = []
    done = 0
    for start, end in _plain_stretches(text, written, controls):
        ids += tokenizer.encode(text[done:start], add_special=False, parse_special=True)
        ids += tokenizer.encode(text[start:end], add_special=False)
        done = end
    return ids + tokenizer.encode(text[done:], add_special=False, parse_special=True)


class _Controls:
    """Where the texts of control tokens occur."""

    def __init__(self, texts: frozenset[str]) -> None:
        self._texts = texts
        self._first = {text[0] for text in texts}
        self._lengths = sorted({len(text) for text in texts}, reverse=True)

    def occurrences(self, text: str) -> Iterator[tuple[int, int]]:
        """``(start, end)`` of the longest at every place where one begins; they may overlap."""
        for at, character in enumerate(text):
            if character in self._first:
                for length in self._lengths:
                    if text[at : at + length] in self._texts:
                        yield at, at + length
                        break

    def beginnings(self, text: str) -> Iterator[int]:
        """Places from which all that follows, but white space, could begin one."""
        text = text.rstrip()
        for at in range(max(0, len(text) - self._lengths[0] if self._lengths else 0), len(text)):
            # Words are left alone: templates compare them.
            if text[at] in self._first and not text[at].isalnum():
                rest = text[at:]
                if any(each.startswith(rest) for each in self._texts):
                    yield at


@dataclass(frozen=True)
class _Marker:
    controls: _Controls
    mark: str

    def marked(self, value: Any, key: object = None) -> Any:
        """``value`` with a mark in every string but roles."""
        if isinstance(value, str):
            return value if key == "role" else self._text(value, ends=True)
        if isinstance(value, dict):
            return {self._key(name): self.marked(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.marked(item, key) for item in value]
        return value

    def _key(self, key: object) -> object:
        return self._text(key, ends=False) if isinstance(key, str) else key

    def _text(self, text: str, *, ends: bool) -> str:
        places = {start for start, _ in self.controls.occurrences(text)}
        if ends:
            places.update(self.controls.beginnings(text))
        if not places:
            return text
        return "".join(c + self.mark if at in places else c for at, c in enumerate(text))


def _mark_unlike(*values: object) -> str:
    """A private-use character that occurs nowhere in ``values``."""
    used = set(json.dumps(values, ensure_ascii=False))
    for code in (code for codes in PRIVATE_USE for code in codes):
        if chr(code) not in used:
            return chr(code)
    raise ChatTemplateError("the messages hold every private-use character of Unicode")


def _unmarked(rendered: str, mark: str) -> tuple[str, frozenset[int]]:
    """The text without marks, and the places of the characters that had one after them."""
    pieces = rendered.split(mark)
    places: set[int] = set()
    length = 0
    for piece in pieces[:-1]:
        length += len(piece)
        places.add(length - 1)
    return "".join(pieces), frozenset(places)


def _plain_stretches(
    text: str, written: frozenset[int], controls: _Controls
) -> Iterator[tuple[int, int]]:
    """The stretches between the template's control tokens in which one is ``written``."""
    if not written:
        return
    start, done, found = 0, 0, False
    for at, end in controls.occurrences(text):
        if at < done:
            continue
        if at in written:
            found = True
            continue
        if found:
            yield start, at
        start = done = end
        found = False
    if found:
        yield start, len(text)
