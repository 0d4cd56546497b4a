"""What is measured of a server of texts, and how: the columns, the protocol, the arithmetic.

A contestant is asked for whole batches, never for single tokens, so that nobody pays for telling
of each token. *Decoding* is the difference between making many tokens and making one after the
same prompts: the work of reading them cancels. *Reading* is the time to the first token. A *short
request beside a long one* comes when a quarter of the time has passed that the long one took
alone. Pure but for the contestant that is handed in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from bench.measure import Metric
from bench.process import ContestantError

SHORT = 22
"""Tokens of the prompts that streams begin with, and of a short request."""
AGAIN = 5
"""Times that a short request is measured, for a median."""
ARRIVES = 0.25
Prompts = Sequence[Sequence[int]]
Send = Callable[[Mapping[str, object]], Mapping[str, Any]]


class Server(Protocol):
    """A loaded model, greedy, which goes on past the end token and remembers no prompt."""

    version: str

    def ready(self, streams: int, tokens: int) -> None:
        """Make room for so many streams at once, each of so many tokens; not timed."""

    def together(self, prompts: Prompts, count: int) -> list[int]:
        """Continue all prompts at once by ``count`` tokens; how many were made of each."""

    def overtaking(self, long: Sequence[int], short: Sequence[int], after: float) -> float | None:
        """Seconds to the first token of ``short``, which comes ``after`` seconds into ``long``.

        None for a server that takes nothing in while it works.
        """


@dataclass(frozen=True)
class Plan:
    """The columns: numbers of streams, lengths of prompts, and the most tokens to a stream."""

    streams: tuple[int, ...] = (1, 4, 16, 64)
    prompts: tuple[int, ...] = (SHORT, 512, 2048)
    tokens: int = 128

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """In the table's order."""
        rate = "tokens/s"
        return (
            *(
                Metric(f"rate_{n}", f"{n} stream{'s' * (n > 1)}", rate, bigger_is_better=True)
                for n in self.streams
            ),
            *(
                Metric(f"read_{n}", f"reading\n{n:,}", rate, bigger_is_better=True)
                for n in self.prompts
            ),
            Metric("first_idle", "first token,\nidle", "ms"),
            Metric("first_busy", f"first token,\nbeside {self.longest:,}", "ms"),
            Metric("peak", "peak\nmemory", "MB"),
            Metric("start", "start-up", "s"),
        )

    @property
    def longest(self) -> int:
        """The prompt beside which a short request is asked."""
        return max(self.prompts)

    @property
    def needed(self) -> int:
        """Tokens of text that all prompts are cut from."""
        return max(max(self.streams) * SHORT, self.longest) + SHORT

    def made(self, streams: int) -> int:
        """Tokens to a stream: fewer of many, or the bench would take hours; an eighth at least."""
        return max(min(self.tokens, 8 * self.tokens // streams), self.tokens // 4, 1)


def decoded(streams: int, made: int, one: float, all_of_them: float) -> float:
    """Tokens a second of ``streams``, which took ``one`` s for a token and more for ``made`` + 1.

    Raises :class:`ContestantError` where the machine was so uneven that nothing is left.
    """
    if all_of_them <= one:
        raise ContestantError(f"{made + 1} tokens took no longer than one: measure it again")
    return streams * made / (all_of_them - one)


def round_of(send: Send, plan: Plan, ids: Sequence[int]) -> dict[str, float]:
    """Measure a contestant, once each column. ``ids``: :attr:`Plan.needed` tokens of text.

    What it cannot do is left out. Raises :class:`ContestantError`.
    """

    def seconds(prompts: Prompts, count: int) -> float:
        answer = send({"prompts": prompts, "count": count})
        if answer["made"] != [count] * len(prompts):
            raise ContestantError(f"asked for {count} tokens of each, it made {answer['made']}")
        return float(answer["seconds"])

    values: dict[str, float] = {}
    for streams in plan.streams:
        made = plan.made(streams)
        prompts = [ids[i * SHORT : (i + 1) * SHORT] for i in range(streams)]
        send({"streams": streams, "tokens": SHORT + made + 1})
        seconds([ids[-SHORT:]], 2)  # the first step of a configuration may prepare things
        one = seconds(prompts, 1)
        values[f"rate_{streams}"] = decoded(streams, made, one, seconds(prompts, made + 1))
    send({"streams": 2, "tokens": plan.longest + 1})
    short, longest = ids[-SHORT:], 0.0
    seconds([short], 2)
    values["first_idle"] = 1e3 * median(seconds([short], 1) for _ in range(AGAIN))
    for length in plan.prompts:
        times = AGAIN if length <= SHORT else 1
        longest = median(seconds([ids[:length]], 1) for _ in range(times))
        values[f"read_{length}"] = length / longest
    answer = send(
        {"long": list(ids[: plan.longest]), "short": list(short), "after": ARRIVES * longest}
    )
    if answer["seconds"] is not None:
        values["first_busy"] = 1e3 * float(answer["seconds"])
    return values


def overtaken(
    together: Callable[[Prompts, int], object],
    long: Sequence[int],
    short: Sequence[int],
    after: float,
) -> float:
    """:meth:`Server.overtaking` of one whose ``together`` may be called by two threads.

    Raises :class:`ContestantError` if the long prompt had been read before the short one came.
    """
    begun = time.perf_counter()
    reader = threading.Thread(target=together, args=([long], 1), daemon=True)
    reader.start()
    time.sleep(max(0.0, after - (time.perf_counter() - begun)))
    overlapped = reader.is_alive()
    together([short], 1)
    seconds = time.perf_counter() - begun - after
    reader.join()
    if not overlapped:
        raise ContestantError("the long prompt was read before the short one came")
    return seconds
