"""What a dialect must do to reach a model elsewhere: write what is asked, read what is told.

Reading is forgiving of what nobody needs and strict about what is used: a field that is not what
it must be is an :class:`UpstreamError`, never a guess. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from studiolo.errors import InvalidRequestError, UpstreamError
from studiolo.sampler.settings import Decoding
from studiolo.task.asking import Event, TextAsk
from studiolo.task.remote.settings import Remote
from studiolo.task.remote.sse import ServerEvent

OFF = {**Decoding().model_dump(), "n": 1, "ignore_eos": False}
"""Values that ask for nothing."""
T = TypeVar("T", bound="Told")


class Told(BaseModel):
    """Something that an upstream says; what is not named here is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


@dataclass
class Tally:
    """What an answer took, as far as the upstream has said; None: not yet, or never."""

    prompt: int | None = None
    cached: int = 0
    completion: int | None = None


class Reader(Protocol):
    """Makes events of one answer; ``tally`` and ``fingerprint`` fill while it does."""

    tally: Tally
    fingerprint: str

    def read(self, event: ServerEvent) -> list[Event]:
        """What an event tells. Raises :class:`TroubleError` and :class:`UpstreamError`."""

    @property
    def complete(self) -> bool:
        """Whether every sample has ended."""


class Wire(Protocol):
    """How one dialect is spoken."""

    def headers(self, key: str | None) -> dict[str, str]:
        """Of every request."""

    def request(self, ask: TextAsk, remote: Remote) -> tuple[str, dict[str, Any]]:
        """Path and body. Raises :class:`InvalidRequestError` for what it has no words for."""

    def reader(self, ask: TextAsk) -> Reader:
        """For the answer to that request."""


class TroubleError(Exception):
    """An error that the upstream tells of within a stream. ``kind``: as it calls it."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind, self.message = kind, message
        super().__init__(kind)


def told(kind: type[T], event: ServerEvent) -> T:
    """The data of ``event`` as a ``kind``."""
    try:
        return kind.model_validate_json(event.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UpstreamError(f"what it sent cannot be read: {where}: {first['msg']}") from None


def sendable(options: Mapping[str, Any], known: Collection[str], model: str) -> dict[str, Any]:
    """The options to send, all of them ``known``; others may only ask for nothing.

    Raises :class:`InvalidRequestError` that names the first that asks for something.
    """
    found = {}
    for name, value in options.items():
        if name in known and value is not None:
            found[name] = value
        elif value is not None and not (name in OFF and value == OFF[name]):
            raise InvalidRequestError(
                name,
                f"the model elsewhere, {model}, cannot do this",
                remedy="Leave it out, or ask a model of this machine.",
            )
    return found
