"""A crowd of clients of every kind, and what each is owed. Pure: nothing is sent here.

Most ask and wait, half of them for a stream. The others read slowly, leave before the end, send
more than is taken, send what is no request, or send what can be read in two ways. Whoever asked
properly is owed exactly what the same request is answered when it is alone, or a refusal that says
when to come back.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.wire import Reply, digests_of, posted, text_of

Kind = Literal["whole", "stream", "receipt", "slow", "gone", "oversized", "malformed", "unclear"]
MIX: Mapping[Kind, int] = {
    "whole": 34, "stream": 34, "receipt": 6, "slow": 8, "gone": 8, "oversized": 4, "malformed": 4,
    "unclear": 2,
}  # fmt: skip
"""Of a hundred clients."""
PROPER: tuple[Kind, ...] = ("whole", "stream", "receipt", "slow")
"""Those who wait for the whole of what they asked for."""
PATH = "/v1/completions"
OVERSIZED = 1 << 30
"""Bytes that a client says it will send; it sends a few."""
WRONG: Sequence[dict[str, Any] | bytes] = (
    b"not json",
    b'{"prompt": "a"',
    b"",
    {"prompt": 5},
    {"prompt": "a", "max_tokens": -1},
    {"prompt": "a", "temperature": "hot"},
    {},
)
Verdict = Literal["right", "shed", "refused", "altered", "lost", "odd"]


@dataclass(frozen=True)
class Ask:
    """One request that has a right answer. ``body`` without ``stream`` and ``receipt``."""

    body: Mapping[str, Any]

    def sent(self, kind: Kind, number: int) -> bytes:
        """What a client of that kind sends; ``number``: which of them it is."""
        if kind == "oversized":
            return posted(PATH, b'{"prompt": "' + b"x" * 4096, length=OVERSIZED)
        if kind == "malformed":
            return posted(PATH, WRONG[number % len(WRONG)])
        if kind == "unclear":
            # Two lengths, of which one reader takes the first and another the last.
            return posted(PATH, {}).replace(
                b"Content-Length", b"Content-Length: 9\r\nContent-Length"
            )
        body = dict(self.body)
        if kind in ("stream", "slow", "gone"):
            body["stream"] = True
        if kind == "receipt":
            body["receipt"] = True
        return posted(PATH, body)


@dataclass(frozen=True)
class Solo:
    """What a request is answered when it is alone."""

    text: str
    digests: object = None


def kinds(seed: int) -> random.Random:
    """A source of kinds for :func:`next_kind`, the same for every server."""
    return random.Random(seed)


def next_kind(source: random.Random, mix: Mapping[Kind, int] = MIX) -> Kind:
    """The kind of the next client."""
    return source.choices(list(mix), list(mix.values()))[0]


def judged(kind: Kind, reply: Reply, solo: Solo) -> Verdict:
    """What a client got.

    ``right``: what it is owed; ``shed``: refused for now; ``refused``: for good, as it should be;
    ``altered``: another answer than alone; ``lost``: no answer, or not to its end; ``odd``:
    anything else.
    """
    if reply.status == 0:
        return "right" if kind == "gone" else "lost"
    if reply.status in (429, 503, 529):
        return "shed"
    if kind in ("oversized", "malformed", "unclear"):
        return "refused" if 400 <= reply.status < 500 else "odd"
    if reply.status != 200:
        return "odd"
    if kind == "gone":
        return "right"
    text = text_of(reply)
    if text is None:
        return "lost"
    if text != solo.text or (kind == "receipt" and digests_of(reply) != solo.digests):
        return "altered"
    return "right"


@dataclass
class Tally:
    """What became of all: verdicts by kind, and times of those who were answered properly."""

    verdicts: Counter[tuple[Kind, Verdict]] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    unclear: int = 0
    given_up: int = 0

    def note(self, kind: Kind, reply: Reply, solo: Solo) -> Verdict:
        """Count one client, and say what it got."""
        verdict = judged(kind, reply, solo)
        self.verdicts[kind, verdict] += 1
        self.statuses[reply.status] += 1
        if verdict == "shed" and not reply.headers.get("retry-after", "").isdecimal():
            self.unclear += 1
        if verdict == "right" and kind in ("whole", "stream", "receipt"):
            self.seconds.append(reply.seconds)
            if kind == "stream":
                self.firsts.append(reply.first)
        return verdict

    def count(self, verdict: Verdict) -> int:
        """How many got that."""
        return sum(n for (_, each), n in self.verdicts.items() if each == verdict)

    @property
    def answered(self) -> int:
        """Those who asked properly and got what they are owed."""
        return sum(self.verdicts[kind, "right"] for kind in PROPER)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which ``share`` (0 to 1) of ``values`` are, by the nearest rank."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def growth(sizes: Sequence[int]) -> float | None:
    """By how much a memory grew under load: its last quarter over its second, less 1.

    The first quarter is for what a server takes once. None of fewer than eight sizes.
    """
    if len(sizes) < 8:
        return None
    quarter = len(sizes) // 4
    early, late = sizes[quarter : 2 * quarter], sizes[-quarter:]
    return sorted(late)[quarter // 2] / sorted(early)[quarter // 2] - 1
