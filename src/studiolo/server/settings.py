"""What a server is told when it is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from studiolo.record.contents import Policy

MAX_BODY = 16 << 20


@dataclass(frozen=True)
class Price:
    """Of a model: cost units for a million tokens of prompts and of answers."""

    prompt: float = 0.0
    completion: float = 0.0


@dataclass(frozen=True)
class Settings:
    """``model``, ``encoder``: for requests that name none. ``timeout``: seconds of a request.

    ``open_``: let in requests without a key from anywhere, not from this machine alone.
    ``prices``: by model. ``watts``: that the machine draws while it computes, for estimates.
    ``max_body``: bytes of one body; ``bodies``: of all under way, or of one if that is more.
    ``requests``: under way at once; ``connections``: open at once, also those that ask for
    nothing. ``slow``: seconds after which a client that neither sends nor takes what it should is
    given up. ``drain``: seconds that requests under way have when the server is told to stop.
    ``uploads``: bytes that the files of one key may have. ``lag``: seconds that a row of the
    records may wait before something is wrong. ``policy``: what is kept of answers.
    ``watermark``: mark the texts that are drawn here.
    """

    model: str
    encoder: str
    max_body: int = MAX_BODY
    timeout: float | None = 600.0
    open_: bool = False
    prices: Mapping[str, Price] = field(default_factory=dict)
    watts: float = 0.0
    bodies: int = 16 * MAX_BODY
    requests: int = 512
    connections: int = 1024
    slow: float = 30.0
    drain: float = 30.0
    uploads: int = 10_000_000_000
    lag: float = 10.0
    policy: Policy = Policy()  # noqa: RUF009  # a frozen value
    watermark: bool = False
