"""How much energy each request took: measured where the processors tell, estimated where not.

Processors count what they draw (Intel's RAPL, which AMD has too; the kernel shows it under
``/sys/class/powercap``). Where that can be read, what was drawn while requests were under way is
shared out among them, each moment equally among those of that moment; so the requests' sum is the
machine's. Where it cannot, the same is done with a draw in watts that the operator states. Neither
is more than an estimate of one request, and neither counts graphics processors unless the stated
draw does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from studiolo.server.context import Context

POWERCAP = Path("/sys/class/powercap")
Source = Literal["measured", "estimated", "unknown"]


@dataclass
class _Share:
    context: Context
    joules: float = 0.0


class Meter:
    """``read``: joules since some moment in the past; None where nothing is known.

    ``elsewhere``: names of models for which this machine computes nothing.
    """

    def __init__(
        self,
        read: Callable[[], float] | None,
        source: Source,
        elsewhere: Collection[str] = (),
    ) -> None:
        self._read, self.source, self._elsewhere = read, source, elsewhere
        self._shares: dict[int, _Share] = {}
        self._last = 0.0 if read is None else read()

    @classmethod
    def of(cls, watts: float, elsewhere: Collection[str] = (), powercap: Path = POWERCAP) -> Meter:
        """The best that there is; ``watts``: the stated draw, 0 if none is."""
        if zones := readable(powercap):
            return cls(Counters(zones), "measured", elsewhere)
        if watts > 0:
            return cls(lambda: watts * time.monotonic(), "estimated", elsewhere)
        return cls(None, "unknown")

    def begin(self, context: Context) -> None:
        """A request comes in."""
        self._share_out()
        self._shares[id(context)] = _Share(context)

    def end(self, context: Context) -> None:
        """A request is over: its context is told what it took, if it took anything."""
        self._share_out()
        share = self._shares.pop(id(context))
        context.joules = 0.0 if context.outcome is None else share.joules

    def _share_out(self) -> None:
        """Give what was drawn since last time to those who had something computed."""
        if self._read is None:
            return
        now = self._read()
        drawn, self._last = now - self._last, now
        at_work = [each for each in self._shares.values() if self._computes(each.context.model)]
        for each in at_work:
            each.joules += drawn / len(at_work)

    def _computes(self, model: str | None) -> bool:
        return model is not None and model not in self._elsewhere


class Counters:
    """The sum of the processors' counters, which begin anew at a limit of their own."""

    def __init__(self, zones: Sequence[Path]) -> None:
        self._zones = [
            (zone / "energy_uj", _number(zone / "max_energy_range_uj")) for zone in zones
        ]
        self._seen = [_number(counter) for counter, _ in self._zones]
        self._joules = 0.0

    def __call__(self) -> float:
        """Joules since this was made."""
        for i, (counter, limit) in enumerate(self._zones):
            try:
                now = _number(counter)
            except OSError:  # it may be forbidden while we look
                continue
            since = now - self._seen[i]
            self._joules += (since if since >= 0 else since + limit) / 1e6
            self._seen[i] = now
        return self._joules


def readable(powercap: Path) -> list[Path]:
    """The zones of whole processors that can be read; none where one of them cannot."""
    zones = [
        zone
        for zone in sorted(powercap.glob("intel-rapl:*"))
        if zone.name.count(":") == 1 and _text(zone / "name").startswith("package")
    ]
    try:
        for zone in zones:
            _number(zone / "energy_uj")
            _number(zone / "max_energy_range_uj")
    except (OSError, ValueError):
        return []
    return zones


class Metered:
    """Wraps what answers: notes in every request's context what it took."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app, self._meter = app, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        context = scope.get("studiolo")
        if not isinstance(context, Context):
            await self._app(scope, receive, send)
            return
        self._meter.begin(context)
        try:
            await self._app(scope, receive, send)
        finally:
            self._meter.end(context)


def _number(path: Path) -> int:
    return int(path.read_text())


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
