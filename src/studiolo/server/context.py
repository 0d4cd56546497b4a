"""What is known of one HTTP request while it is being answered.

Made when it arrives, filled in on the way, and turned into its row of the records when its answer
is over.
"""

from __future__ import annotations

import logging
import secrets
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request

from studiolo.errors import AuthenticationError, PermissionDeniedError, StudioloError
from studiolo.record.grant import Key, Scope
from studiolo.record.ledger import Entry
from studiolo.server.room import Place
from studiolo.task.asking import Outcome

MAX_USER = 256
"""Characters that are kept of how a client calls its user."""
FRAMES = 8
"""How many places the log names of those that a fault came through."""
NO_KEY = "Send `Authorization: Bearer KEY` (or `x-api-key: KEY`); `studiolo keys create` makes one."
log = logging.getLogger("studiolo.server")


@dataclass(frozen=True)
class Caller:
    """Who asks: the owner of ``key``, or anybody on this machine while there are no keys.

    A ``stranger`` showed no key where keys are asked for, and may see what is everybody's.
    """

    key: Key | None = None
    stranger: bool = False

    @property
    def id(self) -> str:
        """By what clients take turns, and what they may share."""
        return "" if self.key is None else self.key.id

    def require(self, scope: Scope) -> None:
        """Raise :class:`PermissionDeniedError` unless the key has ``scope``.

        Of a stranger, :class:`AuthenticationError`.
        """
        if self.stranger:
            raise AuthenticationError("this needs a key", remedy=NO_KEY)
        if self.key is not None and not self.key.allows(scope):
            raise PermissionDeniedError(
                f"the key {self.key.id} may not do this: it lacks the scope {scope!r}",
                remedy=f"It has {', '.join(sorted(self.key.scopes))}; "
                "`studiolo keys create --scope` makes one with others.",
            )

    def may_use(self, model: str) -> bool:
        """Whether the key is good for ``model``."""
        if self.key is None:
            return not self.stranger
        return self.key.allows_model(model)


@dataclass
class Context:
    """One request. Times: ``started`` in Unix seconds, ``clock`` of ``perf_counter``.

    ``place``: what it takes up while it is under way; None of an address that is everybody's.
    """

    endpoint: str
    dialect: str
    id: str = field(default_factory=lambda: f"req_{secrets.token_hex(12)}")
    started: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.perf_counter)
    caller: Caller = field(default_factory=Caller)
    model: str | None = None
    user: str | None = None
    status: int = 500
    error: str | None = None
    finish: str | None = None
    outcome: Outcome | None = None
    cost: float = 0.0
    joules: float = 0.0
    place: Place | None = None

    def failed(self, error: Exception) -> None:
        """Note ``error``, and log it if the fault is ours.

        Where it arose and what kind it is, but not its words: they may be a prompt's.
        """
        self.error = type(error).__name__
        if not isinstance(error, StudioloError):
            log.error("%s: %s failed: %s %s", self.id, self.endpoint, self.error, _where(error))
        elif error.status >= 500:
            log.warning("%s: %s failed: %s", self.id, self.endpoint, self.error)

    def entry(self) -> Entry:
        """The row of the records."""
        outcome = self.outcome or Outcome(0, 0, 0, None, 0.0)
        return Entry(
            id=self.id,
            key=self.caller.id or None,
            user=self.user and self.user[:MAX_USER],
            dialect=self.dialect,
            endpoint=self.endpoint,
            model=self.model,
            weights=outcome.weights or None,
            started=self.started,
            seconds=time.perf_counter() - self.clock,
            seconds_to_first=outcome.seconds_to_first,
            status=self.status,
            error=self.error,
            finish_reason=self.finish,
            prompt_tokens=outcome.prompt_tokens,
            cached_tokens=outcome.cached_tokens,
            completion_tokens=outcome.completion_tokens,
            cost=self.cost,
            joules=self.joules,
        )


def _where(error: Exception) -> str:
    """The innermost frames, on one line."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    return "in " + " > ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)


def context_of(request: Request) -> Context:
    """That of ``request``, which the reception has put there."""
    context: Context = request.scope["studiolo"]
    return context
