"""What clients of the Ollama API send.

What Ollama has and a model here has not (pictures, thinking, templates of the client's own, a
machine's settings among the options) is refused by name, unless its value asks for nothing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from studiolo.task.openai.fields import MAX_TOP, Body, Name
from studiolo.task.openai.messages import Tool


class OllamaOptions(Body):
    """How a text is made. ``ignore_eos`` is our own."""

    num_predict: int | None = Field(
        None, ge=-2, description="At most so many tokens; -1 and -2: as many as the context holds."
    )
    num_ctx: int | None = Field(None, ge=1, description="No more than the model's own context.")
    seed: int | None = Field(None, lt=2**63, description="Below 0: a random one.")
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_last_n: Literal[-1] | None = None
    penalize_newline: Literal[True] | None = None
    mirostat: Literal[0] | None = None
    tfs_z: float | None = Field(None, ge=1, le=1)
    ignore_eos: bool | None = None


class OllamaTextBody(Body):
    """What both addresses for texts take. Nothing is ever cut off to make a prompt fit."""

    model: Name
    stream: bool | None = None
    format: Literal["", "json"] | dict[str, Any] | None = None
    options: OllamaOptions | None = None
    keep_alive: float | str | None = None
    think: Literal[False] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP)
    truncate: Literal[False] | None = None
    shift: Literal[False] | None = None


class OllamaGenerateBody(OllamaTextBody):
    """The body of ``/api/generate``."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: Literal[""] | None = None
    context: list[int] | None = Field(None, max_length=0)
    images: list[str] | None = Field(None, max_length=0)
    raw: bool | None = None


class OllamaCalled(Body):
    """The function of a call."""

    index: int | None = None
    name: str
    arguments: dict[str, Any]


class OllamaCall(Body):
    """A call that the assistant made."""

    id: str | None = None
    type: Literal["function"] | None = None
    function: OllamaCalled


class OllamaMessage(Body):
    """What somebody said; clients leave out an empty ``content``."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: Literal[""] | None = None
    images: list[str] | None = Field(None, max_length=0)
    tool_calls: list[OllamaCall] | None = Field(None, max_length=128)
    tool_name: str | None = None
    tool_call_id: str | None = None


class OllamaChatBody(OllamaTextBody):
    """The body of ``/api/chat``."""

    messages: list[OllamaMessage] | None = None
    tools: list[Tool] | None = Field(None, max_length=128)


class OllamaEmbedBody(Body):
    """The body of ``/api/embed``; ``truncate`` keeps the beginning of what is too long."""

    model: Name
    input: str | list[str]
    truncate: bool | None = None
    dimensions: int | None = Field(None, ge=1)
    options: dict[str, Any] | None = Field(None, max_length=0)
    keep_alive: float | str | None = None


class OllamaEmbeddingsBody(Body):
    """The body of ``/api/embeddings``, the older of the two."""

    model: Name
    prompt: str | None = None
    options: dict[str, Any] | None = Field(None, max_length=0)
    keep_alive: float | str | None = None


class OllamaNameBody(Body):
    """A model; ``name`` is the older word for ``model``."""

    model: Name | None = None
    name: Name | None = None


class OllamaShowBody(OllamaNameBody):
    """The body of ``/api/show``."""

    verbose: Literal[False] | None = None


class OllamaPullBody(OllamaNameBody):
    """The body of ``/api/pull``."""

    insecure: Literal[False] | None = None
    stream: bool | None = None
