"""Which models answer elsewhere: ``remotes.toml``, as the operator wrote it.

An address comes from this file and from nowhere else. A key never stands in it: it names the
environment variable that holds one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from studiolo.bundle.manifest import Frozen, checked_name
from studiolo.errors import InvalidRequestError, MalformedFileError
from studiolo.task.remote.tables import read_tables

FILE = "remotes.toml"
PAGE = "docs/remote.md"
Extension = Literal[
    "top_k",
    "min_p",
    "typical_p",
    "repetition_penalty",
    "beams",
    "length_penalty",
    "ignore_eos",
    "json_schema",
    "regex",
    "grammar",
    "choices",
    "truncate",
    "max_completion_tokens",
]
EXTENSIONS: tuple[Extension, ...] = get_args(Extension)
"""What the OpenAI API itself does not have, or not in every server; by the names used here."""
Seconds = Annotated[float, Field(gt=0, le=86_400)]


def _address(url: str) -> str:
    """``url`` if it is a plain web address; without the slash at its end."""
    parts = urlsplit(url)
    try:
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not url.isprintable() or " " in url:
        raise ValueError("must be an http or https address, as far as /v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or a password; key_env names where a key is")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path")
    return url.rstrip("/")


class Timeouts(Frozen):
    """Seconds to wait: for a connection, for the first word, and for each after it."""

    connect: Seconds = 10.0
    first: Seconds = 120.0
    between: Seconds = 60.0


class Breaking(Frozen):
    """After ``failures`` in a row nothing is asked for ``seconds``; then one request tries."""

    failures: int = Field(5, ge=1, le=1_000_000)
    seconds: Seconds = 30.0


class Prices(Frozen):
    """Cost units for a million tokens of prompts and of answers."""

    prompt: float = Field(0.0, ge=0)
    completion: float = Field(0.0, ge=0)


class Remote(Frozen):
    """One model elsewhere.

    ``url``: as far as ``/v1``; ``model``: its name there; ``key_env``: the variable with the key.
    ``retries``: of a request that failed before anything of its answer was given out.
    ``fallbacks``: names of others that are asked when this one fails. ``accepts``: extensions
    that it takes by our names.
    """

    dialect: Literal["openai", "anthropic"]
    url: Annotated[str, AfterValidator(_address)]
    model: str = Field(min_length=1, max_length=512)
    key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    timeout: Timeouts = Timeouts()
    retries: int = Field(2, ge=0, le=10)
    breaker: Breaking = Breaking()
    fallbacks: tuple[str, ...] = ()
    accepts: frozenset[Extension] = frozenset()
    prices: Prices | None = None


def read_remotes(path: Path) -> dict[str, Remote]:
    """The models of ``path`` by name. Raises :class:`MalformedFileError`."""
    remotes = read_tables(path, "remotes", Remote, PAGE)

    def broken(name: str, reason: str) -> MalformedFileError:
        return MalformedFileError(
            f"{path}: remotes.{name}{reason}", remedy=f"{PAGE} describes the format."
        )

    for name in remotes:
        try:
            checked_name(name)
        except InvalidRequestError as error:
            raise broken(name, f": {error.message}") from None
    for name, remote in remotes.items():
        for other in remote.fallbacks:
            if other == name or other not in remotes:
                raise broken(name, f".fallbacks: {other!r} is no other model of this file")
    return remotes


def key_of(name: str, remote: Remote, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key for ``remote``; None if it needs none.

    Raises :class:`InvalidRequestError` where the variable is not set or holds no key.
    """
    if remote.key_env is None:
        return None
    key = environment.get(remote.key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise InvalidRequestError(
            "key_env",
            f"{remote.key_env} should hold the key of {name}, and "
            + ("is not set" if not key else "has characters that no key has"),
            remedy=f"export {remote.key_env}=…",
        )
    return key
