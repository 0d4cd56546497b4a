"""Native bodies that are another dialect's: Anthropic's Messages, OpenAI's chat completions.

Sources: Amazon Bedrock User Guide, "Anthropic Claude Messages API", "OpenAI models". On Bedrock the
address names the model and says whether the answer is streamed, so a body does not, or says the
same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from studiolo.errors import InvalidRequestError
from studiolo.server.anthropic import answers, bodies, conversation
from studiolo.task.asking import Answer, TextAsk, collect
from studiolo.task.openai import chat
from studiolo.task.openai.fields import Head, parse

VERSION = "bedrock-2023-05-31"


@dataclass(frozen=True)
class Messages:
    """Anthropic's, read."""

    names: ClassVar = conversation.NAMES
    head: answers.Head
    ask: TextAsk

    @classmethod
    def read(cls, body: Mapping[str, Any], head: Head) -> Messages:
        """Raises :class:`InvalidRequestError`."""
        if body["anthropic_version"] != VERSION:
            raise InvalidRequestError("anthropic_version", f"must be {VERSION!r}")
        for name in ("model", "stream"):
            if name in body:
                raise InvalidRequestError(name, "is said by the address, and not in the body")
        rest = {name: value for name, value in body.items() if name != "anthropic_version"}
        read = parse(bodies.MessageBody, {**rest, "model": head.model})
        ask = conversation.ask(read, head.model)
        return cls(answers.Head(f"msg_bdrk_{head.id}", head.model), ask)

    async def whole(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer, once it is complete."""
        choices = await collect(answer)
        return answers.whole(self.head, choices, answer.outcome)

    def chunks(self, answer: Answer) -> AsyncIterator[dict[str, Any]]:
        """The chunks of an answer as it comes."""
        return answers.events(self.head, answer)


@dataclass(frozen=True)
class ChatCompletions:
    """OpenAI's, read."""

    names: ClassVar[Mapping[str, str]] = {}
    head: Head
    body: chat.ChatBody
    ask: TextAsk

    @classmethod
    def read(cls, body: Mapping[str, Any], head: Head) -> ChatCompletions:
        """Raises :class:`InvalidRequestError`."""
        read = parse(chat.ChatBody, body)
        if read.model not in (None, head.model):
            raise InvalidRequestError("model", f"is {head.model!r} in the address")
        return cls(head, read, chat.ask(read, head.model))

    async def whole(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer, once it is complete."""
        return await chat.told(self.body, self.head, answer)

    def chunks(self, answer: Answer) -> AsyncIterator[dict[str, Any]]:
        """The chunks of an answer as it comes."""
        options = self.body.stream_options
        usage = options is not None and bool(options.include_usage)
        receipt = bool(self.body.receipt)
        return chat.chunks(self.head, answer, include_usage=usage, receipt=receipt)
