"""What is said of documents beside their text: who may see them, and metadata to filter by.

A YAML file of rules, each for the paths that its patterns match; later rules add to earlier ones
and win over them::

    default: everyone            # or nobody
    rules:
      - match: ["hr/**", "*.secret.md"]
        access: [hr, management]
      - match: reports/2024/*
        metadata: {year: 2024, team: finance, final: true}

``*`` stands for any characters of a name, ``**`` for any of a path. Values are texts, numbers,
truths or lists of texts; one key is of one type in the whole index. Notable choice: *access lists
fail closed*. A document is everyone's only if nothing says otherwise, and a list that is empty lets
nobody in but the owner of the index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, StrictBool, StrictFloat, StrictInt, ValidationError

from studiolo.errors import InvalidRequestError

Value: TypeAlias = str | float | bool | list[str]
Type = Literal["text", "number", "truth", "texts"]
MAX_BYTES = 1 << 20
MAX_KEYS = 64
KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class Facts:
    """Of one document. ``access``: names that may see it, or None for everyone."""

    access: tuple[str, ...] | None = None
    metadata: Mapping[str, Value] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """By which a change is seen."""
        said = [None if self.access is None else sorted(self.access), dict(self.metadata)]
        return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    match: str | list[str]
    access: list[str] | Literal["everyone", "nobody"] | None = None
    metadata: dict[str, StrictBool | StrictInt | StrictFloat | str | list[str]] = {}


class Rules(BaseModel):
    """The rules of one folder; without any, everyone may see everything."""

    model_config = ConfigDict(extra="forbid")

    default: Literal["everyone", "nobody"] = "everyone"
    rules: list[_Rule] = []

    def of(self, source: str) -> Facts:
        """What the rules say of the document at that path."""
        access = _names(self.default)
        metadata: dict[str, Value] = {}
        for rule in self.rules:
            patterns = [rule.match] if isinstance(rule.match, str) else rule.match
            if not any(_pattern(each).fullmatch(source) for each in patterns):
                continue
            if rule.access is not None:
                access = _names(rule.access)
            metadata |= {key: _plain(value) for key, value in rule.metadata.items()}
        return Facts(access, metadata)


def read_rules(path: Path) -> Rules:
    """The rules in a file. Raises :class:`InvalidRequestError`, naming what is wrong in it."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise InvalidRequestError("rules", f"{str(path)!r} cannot be read: {why}") from None
    if len(text) > MAX_BYTES:
        raise InvalidRequestError("rules", f"{path} is larger than {MAX_BYTES:,} bytes")
    try:
        values = yaml.safe_load(text)
        rules = Rules.model_validate({} if values is None else values)
    except (yaml.YAMLError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise InvalidRequestError("rules", f"{path} is no YAML: {why:.200}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(each) for each in first["loc"]) or "the file"
        raise InvalidRequestError("rules", f"{path}: {where}: {first['msg']}") from None
    types: dict[str, Type] = {}
    for rule in rules.rules:
        for key, value in rule.metadata.items():
            _check(key, value, types)
    if len(types) > MAX_KEYS:
        raise InvalidRequestError("rules", f"{len(types)} keys are more than {MAX_KEYS}")
    return rules


def type_of(value: Any) -> Type:
    """The type of a value of metadata."""
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "texts"


def _check(key: str, value: Any, types: dict[str, Type]) -> None:
    if not KEY.fullmatch(key):
        raise InvalidRequestError(
            f"rules: {key!r:.80}",
            "is no key: it begins with a letter and has at most 64 letters, digits and underscores",
        )
    own = type_of(value)
    if types.setdefault(key, own) != own:
        raise InvalidRequestError(f"rules: {key}", f"is a {types[key]} in one rule and {own} here")
    if own == "number" and abs(value) > 2**53:
        raise InvalidRequestError(f"rules: {key}", f"{value} is beyond the exact numbers, 2**53")


def _names(access: list[str] | str) -> tuple[str, ...] | None:
    if isinstance(access, str):
        return None if access == "everyone" else ()
    return tuple(sorted(set(access)))


def _plain(value: Any) -> Value:
    return float(value) if type_of(value) == "number" else value


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    """Of a path; a pattern without ``/`` matches a name in any folder."""
    anchored = glob if "/" in glob else f"**/{glob}"
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", anchored)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(each, re.escape(each)) for each in parts), re.DOTALL)
