"""What may go wrong with an upstream, sorted by what is to be done about it.

Errors that reach a client name the model as it is called here, and neither the upstream's address
nor its key. What an upstream says of a request that it refuses is passed on, so cleaned; what it
says of its own troubles is not.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    StudioloError,
    TooLargeError,
    UpstreamError,
)
from studiolo.task.remote.wire import TroubleError

AGAIN = (408, 409, 425, 429, *range(500, 600))
"""Statuses that may be others the next time."""
OURS = (401, 403, 404, 405, 407)
"""Statuses that say that the operator's settings are wrong, not the request."""
BUSY = ("rate_limit_error", "rate_limit_exceeded", "429")
REFUSED = ("invalid_request_error", "request_too_large", "400")
_FIELD = re.compile(r"[\w.\[\]-]{1,200}")
LONGEST = 500
"""Characters of an upstream's message that are passed on."""
LATER = 5.0
"""Seconds after which to come back where an upstream is busy and says no more."""


@dataclass(eq=False)
class FailedError(Exception):
    """``error``: what the client is told if nothing helps.

    ``again``: the same may go well in a moment, or after ``after`` seconds if the upstream says
    so. ``ill``: the upstream is unwell, which its breaker counts.
    """

    error: StudioloError
    again: bool = False
    ill: bool = True
    after: float | None = None


@dataclass(frozen=True)
class Cleaner:
    """Takes what is secret out of what ``name`` said."""

    name: str
    url: str
    key: str | None = field(repr=False)

    def clean(self, message: str) -> str:
        """One line of it, without key and address."""
        parts = urlsplit(self.url)
        for secret in (self.key, self.url, parts.netloc, parts.hostname):
            if secret:
                message = message.replace(secret, "***")
        shown = "".join(c if c.isprintable() else " " for c in message)
        return f"{' '.join(shown.split()):.{LONGEST}}"


def of_status(
    status: int, headers: Mapping[str, str], body: bytes, who: Cleaner
) -> FailedError | StudioloError:
    """What an answer other than 200 means: a failure, or else an error of the request itself."""
    after = retry_after(headers)
    if 300 <= status < 400:
        return failed(who.name, "redirects to another address, which is not followed")
    if status == 429:
        return FailedError(_busy(who.name, after), again=True, ill=False, after=after)
    if status in AGAIN:
        error = UpstreamError(f"{who.name}, elsewhere, answered with an error ({status})")
        return FailedError(error, again=True, after=after)
    if status in OURS or status < 400:
        return FailedError(
            UpstreamError(
                f"{who.name}, elsewhere, could not be asked ({status})",
                remedy="Its operator should see to its url, model and key.",
            )
        )
    where, message = _said(body)
    if who.clean(where) != where:
        where = "request"
    message = who.clean(message) or f"{who.name}, elsewhere, refused the request ({status})"
    if status == 413:
        return TooLargeError(message)
    return InvalidRequestError(where, message.removeprefix(f"{where}: "))


def of_trouble(trouble: TroubleError, who: Cleaner) -> FailedError | StudioloError:
    """What an error within a stream means."""
    if trouble.kind in REFUSED:
        return InvalidRequestError("request", who.clean(trouble.message) or "it was refused")
    if trouble.kind in BUSY:
        return FailedError(_busy(who.name, None), again=True, ill=False)
    return failed(who.name, f"failed in its answer ({who.clean(trouble.kind):.60})", again=True)


def failed(name: str, how: str, *, again: bool = False) -> FailedError:
    """What has gone wrong with an upstream, in words that follow its name."""
    return FailedError(UpstreamError(f"{name}, elsewhere, {how}"), again=again)


def of_silence(name: str, seconds: float) -> FailedError:
    """An upstream that says nothing any more."""
    return failed(name, f"said nothing for {seconds:g} seconds")


def of_resting(name: str, seconds: float) -> FailedError:
    """One that is left alone for a while."""
    return FailedError(
        UpstreamError(
            f"{name}, elsewhere, has failed repeatedly and is left alone for a while",
            remedy=f"Try again in {math.ceil(seconds)} seconds.",
        ),
        ill=False,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds after which the upstream wants to be asked again, if it says so and is understood.

    Source: RFC 9110, section 10.2.3; ``retry-after-ms`` is OpenAI's.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if text.isascii() and text.replace(".", "", 1).isdigit():
            return float(text) / unit
    try:
        when = parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError, IndexError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _busy(name: str, after: float | None) -> BusyError:
    return BusyError(
        f"{name}, elsewhere, has more to do than it takes",
        remedy="Try again a little later.",
        retry_after=LATER if after is None else after,
    )


def _said(body: bytes) -> tuple[str, str]:
    """Field and message of an error's body, in any of the shapes in use."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return "request", ""
    error = told.get("error", told) if isinstance(told, dict) else told
    if isinstance(error, str):
        return "request", error
    if not isinstance(error, dict):
        return "request", ""
    where, message = error.get("param"), error.get("message", error.get("detail"))
    if not isinstance(message, str):
        message = "" if message is None else json.dumps(message)
    named = where if isinstance(where, str) and _FIELD.fullmatch(where) else "request"
    return named, message
