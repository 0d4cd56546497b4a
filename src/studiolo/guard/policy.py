"""A policy: what may go in and out, as one YAML file that cannot be misread.

The kinds of rules are those of Amazon Bedrock Guardrails: words, personal data, named expressions,
denied topics, categories of content, grounding; and contracts of form beside them. Notable choices:
every field is known or refused, so that a rule with a slip of the pen is an error and never
silence; the digest is of what the policy means, not of how it is written, and once published a
version never changes (``published``). Deliberately unknown here: how any rule is checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from studiolo.errors import InvalidRequestError, MalformedFileError, StudioloError
from studiolo.guard.finding import Kind

_MAX_BYTES = 1 << 20


class Action(StrEnum):
    """What is done with what a rule finds, the mildest first."""

    NONE = "none"
    DETECT = "detect"
    MASK = "mask"
    PSEUDONYMISE = "pseudonymise"
    BLOCK = "block"


class Strength(StrEnum):
    """How much is let through: nothing is checked, or only the plainest is found, or more."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Frozen(BaseModel):
    """A value that cannot change and knows exactly its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Threshold = Annotated[float, Field(ge=0, le=1)]
Line = Annotated[str, Field(min_length=1, max_length=1000)]


class Directed(Frozen):
    """A rule with an action for what goes in and for what comes out."""

    input: Action = Field(Action.BLOCK, description="for prompts, passages and tools' results")
    output: Action = Field(Action.BLOCK, description="for what the model says")


def _only(*allowed: Action) -> AfterValidator:
    """Refuses actions that a rule cannot take: a sentence has no pseudonym."""

    def checked(action: Action) -> Action:
        if action not in allowed:
            raise ValueError(f"{action.value} cannot be done here; {', '.join(allowed)} can")
        return action

    return AfterValidator(checked)


Masking = Annotated[Action, _only(Action.NONE, Action.DETECT, Action.MASK, Action.BLOCK)]
Blocking = Annotated[Action, _only(Action.NONE, Action.DETECT, Action.BLOCK)]


class Words(Directed):
    """Words and phrases, whole, in any case."""

    input: Masking = Action.BLOCK
    output: Masking = Action.BLOCK

    exact: tuple[Line, ...] = Field((), description="words and phrases")
    profanity: bool = Field(False, description="also the list of better-profanity")


class Personal(Directed):
    """Some kinds of personal data."""

    kinds: tuple[Kind, ...] = Field(tuple(Kind), min_length=1, description="all, unless said")
    input: Action = Action.MASK
    output: Action = Action.MASK


def _compiles(pattern: str) -> str:
    from studiolo.guard.expressions import compiled

    try:
        compiled(pattern)
    except InvalidRequestError as error:
        raise ValueError(error.message.partition(": ")[2]) from None
    return pattern


class Expression(Directed):
    """A named regular expression, in the syntax of RE2, which cannot hang."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pattern: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_compiles)]
    input: Masking = Action.MASK
    output: Masking = Action.MASK


class Topic(Directed):
    """A subject that is not to be spoken of, told by its definition and by examples."""

    name: Line
    definition: Line
    examples: tuple[Line, ...] = Field((), max_length=100)
    threshold: Threshold = Field(0.5, description="cosine from which a sentence is of the topic")
    input: Blocking = Action.BLOCK
    output: Blocking = Action.BLOCK


class Strengths(Frozen):
    """How strictly a category is kept out, in each direction."""

    input: Strength = Strength.MEDIUM
    output: Strength = Strength.MEDIUM


class Content(Frozen):
    """Categories of content; one that is not named is not checked."""

    hate: Strengths | None = None
    insults: Strengths | None = None
    sexual: Strengths | None = None
    violence: Strengths | None = None
    misconduct: Strengths | None = None
    prompt_attack: Strengths | None = None


class Grounding(Frozen):
    """What an answer must have of its sources and of its question; checked where they are given."""

    grounding: Threshold | None = Field(None, description="least support of each sentence")
    relevance: Threshold | None = Field(None, description="least likeness to the question")
    action: Blocking = Action.BLOCK


class Contract(Frozen):
    """What the whole output must be."""

    json_schema: Mapping[str, Any] = Field(description="JSON Schema, draft 2020-12")

    @model_validator(mode="after")
    def _is_a_schema(self) -> Self:
        from studiolo.guard.contract import checked_schema

        checked_schema(self.json_schema)
        return self


class Messages(Frozen):
    """What is said instead of what is blocked."""

    input: Line = "This request was blocked by the policy."
    output: Line = "This answer was blocked by the policy."


class Policy(Frozen):
    """All rules, and how they are enforced."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    version: Annotated[int, Field(ge=1, strict=True)] = 1
    description: str = ""
    mode: Literal["enforce", "detect"] = Field("enforce", description="detect: find, do nothing")
    seconds: float = Field(10, gt=0, le=600, description="a check that takes longer blocks")
    messages: Messages = Messages()
    words: Words | None = None
    personal: tuple[Personal, ...] = ()
    expressions: tuple[Expression, ...] = ()
    topics: tuple[Topic, ...] = ()
    content: Content = Content()
    grounding: Grounding | None = None
    contract: Contract | None = None

    @model_validator(mode="after")
    def _nothing_is_said_twice(self) -> Self:
        kinds: list[str] = [kind for each in self.personal for kind in each.kinds]
        for what, names in (
            ("personal: kind", kinds),
            ("expressions: name", [each.name for each in self.expressions]),
            ("topics: name", [each.name for each in self.topics]),
        ):
            if twice := {each for each in names if names.count(each) > 1}:
                raise ValueError(f"{what} {min(twice)} is given twice")
        return self

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all that the policy says, in a form that spelling cannot change."""
        content = self.model_dump(mode="json")
        plain = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(plain.encode()).hexdigest()


class _Plain(yaml.SafeLoader):  # type: ignore[misc]
    """YAML without aliases, by which a small file becomes a large tree."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read")
        return super().compose_node(parent, index)


def read_policy(path: Path) -> Policy:
    """The policy in the file ``path``.

    Raises :class:`InvalidRequestError` if there is none, and :class:`MalformedFileError` that names
    the line or the field of what is wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InvalidRequestError(
            "policy", f"{str(path)!r} cannot be read: {error.strerror or error}"
        ) from None
    return policy_of(data, str(path))


def policy_of(data: bytes, where: str) -> Policy:
    """As :func:`read_policy`, of the bytes of a file; ``where`` names it in errors."""

    def broken(why: str) -> MalformedFileError:
        return MalformedFileError(f"{where}: {why}", remedy="docs/guard.md describes policies.")

    if len(data) > _MAX_BYTES:
        raise broken(f"larger than {_MAX_BYTES:,} bytes, which no policy needs")
    try:
        tree = yaml.load(data.decode("utf-8"), _Plain)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError as error:
        raise broken(f"not UTF-8 text (byte {error.start:,})") from None
    except RecursionError:
        raise broken("nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise broken(f"line {mark.line + 1}: {problem}" if mark else str(problem)) from None
    if not isinstance(tree, dict):
        raise broken("must be a mapping of fields")
    try:
        return Policy.model_validate(tree)
    except ValidationError as error:
        raise broken(_plainly(error)) from None
    except StudioloError:
        raise
    except RecursionError:
        raise broken("nested too deeply") from None


def _plainly(error: ValidationError) -> str:
    from studiolo.bundle.manifest import plainly

    return "; ".join(plainly(error).splitlines())
