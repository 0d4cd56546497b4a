"""What the OpenAI API's bodies have in common: how they are read, and their shared fields.

Every field is known by name, and one that is not is an error: what would be ignored might have
been meant. Beside OpenAI's own there are the other dials of :class:`Decoding`, ``ignore_eos`` and
the constraints. ``null`` is as if the field were absent. A body that is wrong in a million places
costs no more than one that is wrong in one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import from_json

from studiolo.errors import InvalidRequestError
from studiolo.sampler.constraint import KINDS
from studiolo.sampler.settings import Decoding
from studiolo.task.asking import Answer, Scored, Spelled

B = TypeVar("B", bound="Body")
T = TypeVar("T")
MAX_TOP = 20
"""Alternatives to each token, as at OpenAI."""
NOTHING = -9999.0
"""JSON has no infinity; OpenAI writes this for the logarithm of nothing."""
MAX_KEYS = 250_000
"""Of all objects of a body: more than the biases of any vocabulary."""
MAX_FAULTS = 100
"""Faults of a body among which the first is looked for."""
Name = Annotated[str, Field(min_length=1, max_length=512)]
Many = Annotated[list[T], Field(fail_fast=True)]
"""A list that is read up to its first fault."""
FREE = frozenset(
    (
        *("messages", "content", "text", "input", "prompt", "suffix", "system", "instructions"),
        *("arguments", "output", "inputText", "template", "thinking", "comment", "correction"),
    )
)
"""Fields in which stands what somebody says: a wrong value of theirs is not shown in an error."""
_KEY = re.compile(rb'(?<!\\)(?:\\\\)*"\s*:')


class Body(BaseModel):
    """Any body: no field beside those that are named."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


if TYPE_CHECKING:
    Dials = Body
else:
    Dials = create_model(
        "Dials",
        __base__=Body,
        **{
            name: (
                Annotated[(field.annotation, Field(description=field.description), *field.metadata)]
                | None,
                None,
            )
            for name, field in Decoding.model_fields.items()
        },
    )


class JsonSchema(Body):
    """What a text must be; always enforced to the letter."""

    name: str = Field(max_length=64)
    description: str | None = None
    schema_: Mapping[str, Any] = Field(alias="schema")
    strict: bool | None = None


class TextFormat(Body):
    """Any text."""

    type: Literal["text"]


class JsonObject(Body):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(Body):
    """JSON of one schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


Format = Annotated[TextFormat | JsonObject | JsonSchemaFormat, Field(discriminator="type")]


class StreamOptions(Body):
    """``include_usage``: a last chunk tells what the answer took. Nothing is padded here."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class AskingBody(Dials):
    """What every body that asks for texts has. Values are checked again by whoever uses them.

    ``receipt``, our own: the answer brings with it what it takes to make it again.
    """

    model: Name | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stream: bool | None = None
    ignore_eos: bool | None = None
    json_schema: Mapping[str, Any] | bool | str | None = None
    regex: str | None = None
    grammar: str | None = None
    choices: Many[str] | None = None
    user: str | None = Field(None, description="Whom the request is for; stands in the records.")
    receipt: bool | None = None

    def given(self, *names: str) -> dict[str, Any]:
        """Options of :meth:`LanguageModel.prepare`: those shared by all bodies, and ``names``."""
        names = (*Decoding.model_fields, *KINDS, "ignore_eos", *names)
        found = {name: getattr(self, name) for name in names}
        found = {name: value for name, value in found.items() if value is not None}
        if self.seed is not None:
            found["seed"] = self.seed % 2**63  # OpenAI's may be negative
        return found


class TextBody(AskingBody):
    """What bodies of chats and completions share."""

    max_tokens: int | None = Field(None, ge=1)
    n: int | None = Field(None, ge=1, le=128)
    stop: str | Many[str] | None = None
    stream_options: StreamOptions | None = None
    response_format: Format | None = None

    def options(self) -> dict[str, Any]:
        """Those of :meth:`LanguageModel.prepare` that are not read otherwise."""
        if self.stream_options is not None and not self.stream:
            raise InvalidRequestError("stream_options", "needs stream to be true")
        found = self.given("max_tokens", "n", "stop")
        wanted, field = self.response_format, "response_format"
        if isinstance(wanted, JsonSchemaFormat):
            return found | constraint(found, field, wanted.json_schema)
        return found | constraint(found, field, wanted)


def constraint(
    given: Mapping[str, Any], field: str, wanted: JsonSchema | JsonObject | TextFormat | None
) -> dict[str, Any]:
    """What ``field`` wants of the text, beside the options that are ``given``."""
    if wanted is None or isinstance(wanted, TextFormat):
        return {}
    if "json_schema" in given:
        raise InvalidRequestError("json_schema", f"is given twice, alone and in {field}")
    if isinstance(wanted, JsonObject):
        return {"json_schema": {"type": "object"}}
    return {"json_schema": wanted.schema_}


@dataclass(frozen=True)
class Head:
    """What stands at the head of every answer. ``created``: Unix seconds."""

    id: str
    created: int
    model: str
    request: str = ""


def parse(kind: type[B], body: bytes | Mapping[str, Any]) -> B:
    """``body``, JSON text or what it says, as a ``kind``.

    Raises :class:`InvalidRequestError`, whose field is the path of what is wrong.
    """
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    if text.count(b":") > MAX_KEYS < sum(1 for _ in islice(_KEY.finditer(text), MAX_KEYS + 1)):
        raise InvalidRequestError("body", f"has more than {MAX_KEYS:,} fields in all its objects")
    if b"NaN" in text or b"Infinity" in text:
        try:
            from_json(text, allow_inf_nan=False)
        except ValueError as error:
            raise InvalidRequestError("body", f"is not JSON: {error}") from None
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise named(error, text, kind) from None


def named(error: ValidationError, text: bytes, kind: type[BaseModel]) -> InvalidRequestError:
    """The first of pydantic's findings, or what it is due to deeper inside, in our words."""
    if error.error_count() > MAX_FAULTS:
        return InvalidRequestError("body", f"is wrong in {error.error_count():,} places")
    found = error.errors(include_url=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        why = found[0]["msg"].removeprefix("Invalid JSON: ")
        return _halved(text) or InvalidRequestError("body", f"is not JSON: {why}")
    body = from_json(text)
    paths = [_path(each["loc"], body, missing=each["type"] == "missing") for each in found]
    inside = [i for i, each in enumerate(paths) if each[: len(paths[0])] == paths[0]]
    # Of several ways to read a value, the one that came furthest is what was meant.
    furthest = max(inside, key=lambda i: (len(paths[i]), [_place(part) for part in paths[i]]))
    first, path = found[furthest], paths[furthest]
    field = ".".join(path) or "body"
    if first["type"] == "extra_forbidden":
        known = sorted(each.alias or name for name, each in kind.model_fields.items())
        near = get_close_matches(path[-1], known, n=1, cutoff=0.5) if len(path) == 1 else []
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
        remedy = hint if len(path) == 1 else None
        return InvalidRequestError(field, "there is no such field here", remedy=remedy)
    if first["type"] == "missing":
        return InvalidRequestError(field, "is missing")
    if first["type"] == "none_required":
        return InvalidRequestError(field, "is not possible here", remedy="Leave it out.")
    message, given = first["msg"].removeprefix("Input "), first["input"]
    name = next((part for part in reversed(path) if not part.isdecimal()), None)
    free = name is None or name in FREE
    if not free and not isinstance(given, list | dict) and len(shown := repr(given)) <= 60:
        message += f", not {shown}"
    return InvalidRequestError(field, message)


def _halved(text: bytes) -> InvalidRequestError | None:
    """What to say of JSON in which a string is no Unicode text."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for field, value in body.items() if isinstance(body, dict) else ():
        try:
            field.encode()
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            whole = error.object is not field
            message = "holds half a character (a lone surrogate)"
            return InvalidRequestError(field if whole else "body", message)
    return None


def _place(part: str) -> int:
    return int(part) if part.isdecimal() and len(part) < 10 else 0


def _path(where: Sequence[str | int], body: Any, *, missing: bool) -> list[str]:
    """The parts of pydantic's path that are places in the body, not kinds that were tried."""
    path: list[str] = []
    for i, part in enumerate(where):
        if isinstance(body, Mapping) and part in body:
            path.append(str(part))
            body = body[str(part)]
        elif isinstance(body, list) and isinstance(part, int) and part < len(body):
            path.append(str(part))
            body = body[part]
        elif missing and i == len(where) - 1:
            path.append(str(part))
    return path


def entry(token: Spelled) -> dict[str, Any]:
    """A token as chat completions and responses write it."""
    spelled = None if token.bytes is None else list(token.bytes)
    return {"token": token.text, "logprob": max(token.log_prob, NOTHING), "bytes": spelled}


def scores(choices: list[Scored] | tuple[Scored, ...]) -> list[dict[str, Any]]:
    """Chosen tokens with their alternatives."""
    return [{**entry(each), "top_logprobs": [entry(t) for t in each.top]} for each in choices]


def receipt_of(answer: Answer) -> dict[str, Any] | None:
    """The receipt of an answer that is over, as bodies hold it; None of a model elsewhere."""
    receipt = answer.receipt()
    return None if receipt is None else receipt.model_dump(mode="json", exclude_none=True)
