"""What is known of one HTTP request while it is being answered.

Made when it arrives, filled in on the way, and turned into its row of the records when its answer
is over.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from starlette.requests import Request

from studiolo.errors import PermissionDeniedError
from studiolo.record.grant import Key, Scope
from studiolo.record.ledger import Entry
from studiolo.task.asking import Outcome


@dataclass(frozen=True)
class Caller:
    """Who asks: the owner of ``key``, or anybody on this machine while there are no keys."""

    key: Key | None = None

    @property
    def id(self) -> str:
        """By what clients take turns, and what they may share."""
        return "" if self.key is None else self.key.id

    def require(self, scope: Scope) -> None:
        """Raise :class:`PermissionDeniedError` unless the key has ``scope``."""
        if self.key is not None and not self.key.allows(scope):
            raise PermissionDeniedError(
                f"the key {self.key.id} may not do this: it lacks the scope {scope!r}",
                remedy=f"It has {', '.join(sorted(self.key.scopes))}; "
                "`studiolo keys create --scope` makes one with others.",
            )

    def may_use(self, model: str) -> bool:
        """Whether the key is good for ``model``."""
        return self.key is None or self.key.allows_model(model)


@dataclass
class Context:
    """One request. Times: ``started`` in Unix seconds, ``clock`` of ``perf_counter``."""

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

    def entry(self) -> Entry:
        """The row of the records."""
        outcome = self.outcome or Outcome(0, 0, 0, None, 0.0)
        return Entry(
            id=self.id,
            key=self.caller.id or None,
            user=self.user,
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


def context_of(request: Request) -> Context:
    """That of ``request``, which the reception has put there."""
    context: Context = request.scope["studiolo"]
    return context
