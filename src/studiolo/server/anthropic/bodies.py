"""What clients of the Anthropic Messages API send.

What that API has and a model here has not (pictures, documents, thinking, tools that the server
runs …) is refused by name; what changes nothing here (hints for a cache, a tier) is accepted
where its value asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from studiolo.task.openai.fields import Body, Name


class CacheControl(Body):
    """A hint: prompts' beginnings are kept here without it."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Block(Body):
    """A part of a message."""

    cache_control: CacheControl | None = None


class TextBlock(Block):
    """Text."""

    type: Literal["text"]
    text: str
    citations: list[Any] | None = Field(None, max_length=0)


class Direct(Body):
    """Who called a tool: the model itself."""

    type: Literal["direct"]


class ToolUseBlock(Block):
    """A call that the assistant made."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: dict[str, Any]
    caller: Direct | None = None
    toolset_name: None = None


def _shape(value: object) -> str:
    return "blocks" if isinstance(value, list) else "text"


# Told apart by hand, so that what is wrong in a block is told, and not that it is no text.
Texts = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[TextBlock], Tag("blocks")], Discriminator(_shape)
]


class ToolResultBlock(Block):
    """What a called tool gave, or how it failed."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: Texts | None = None
    is_error: bool | None = None
    toolset_name: None = None


UserBlock = Annotated[TextBlock | ToolResultBlock, Field(discriminator="type")]
AssistantBlock = Annotated[TextBlock | ToolUseBlock, Field(discriminator="type")]


class UserTurn(Body):
    """What the user says, and what tools gave."""

    role: Literal["user"]
    content: Annotated[
        Annotated[str, Tag("text")] | Annotated[list[UserBlock], Tag("blocks")],
        Discriminator(_shape),
    ]


class AssistantTurn(Body):
    """What the assistant said; clients send back all that they were given."""

    role: Literal["assistant"]
    content: Annotated[
        Annotated[str, Tag("text")] | Annotated[list[AssistantBlock], Tag("blocks")],
        Discriminator(_shape),
    ]


class SystemTurn(Body):
    """What the system says in the midst of a conversation."""

    role: Literal["system"]
    content: Texts


class ClientTool(Block):
    """A tool that the client runs. ``strict``: calls are held to the schema."""

    type: Literal["custom"] | None = None
    name: str
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None
    allowed_callers: list[Literal["direct"]] | None = None
    defer_loading: Literal[False] | None = None
    eager_input_streaming: bool | None = None
    input_examples: list[Any] | None = Field(None, max_length=0)


class ChooseAny(Body):
    """Whether and how tools are called, but for one by name."""

    type: Literal["auto", "any"]
    disable_parallel_tool_use: bool | None = None


class ChooseOne(Body):
    """That tool is called."""

    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool | None = None


class ChooseNone(Body):
    """No tool is called."""

    type: Literal["none"]


class OutputSchema(Body):
    """JSON of one schema; always enforced to the letter."""

    type: Literal["json_schema"]
    schema_: Mapping[str, Any] = Field(alias="schema")


class OutputConfig(Body):
    """What an answer must be."""

    format: OutputSchema | None = None
    effort: None = None


class Metadata(Body):
    """Whom the request is for; stands in the records."""

    user_id: str | None = None


class NoThinking(Body):
    """Models here do not think before they answer."""

    type: Literal["disabled"]


class PromptBody(Body):
    """What is read: all that makes a prompt."""

    model: Name
    messages: list[
        Annotated[UserTurn | AssistantTurn | SystemTurn, Field(discriminator="role")]
    ] = Field(min_length=1)
    system: Texts | None = None
    tools: list[ClientTool] | None = Field(None, max_length=128)
    tool_choice: (
        Annotated[ChooseAny | ChooseOne | ChooseNone, Field(discriminator="type")] | None
    ) = None
    thinking: NoThinking | None = None
    output_config: OutputConfig | None = None
    cache_control: CacheControl | None = None
    speed: Literal["standard"] | None = None
    thread: dict[str, Any] | None = Field(
        None, description="Refused so that clients send whole conversations instead."
    )


class MessageBody(PromptBody):
    """The body of a request; ``seed`` and ``ignore_eos`` are our own."""

    max_tokens: int = Field(ge=1)
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0)
    stop_sequences: list[Annotated[str, Field(min_length=1)]] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    container: None = None
    diagnostics: None = None
    inference_geo: None = None
    seed: int | None = Field(None, ge=0, lt=2**63)
    ignore_eos: bool | None = None
