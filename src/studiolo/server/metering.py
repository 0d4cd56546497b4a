"""What an answer took, noted in its row of the records and charged to its key.

Costs are in whatever unit the prices are; energy is an estimate, the machine's draw for as long as
the answer took.
"""

from __future__ import annotations

from studiolo.server.context import Context
from studiolo.server.limits import Limiter
from studiolo.server.settings import Price, Settings
from studiolo.task.asking import Outcome


def count(context: Context, outcome: Outcome, settings: Settings, limiter: Limiter) -> None:
    """Note ``outcome`` as that of the request ``context``, and charge it."""
    price = settings.prices.get(context.model or "", Price())
    context.outcome = outcome
    context.cost = (
        outcome.prompt_tokens * price.prompt + outcome.completion_tokens * price.completion
    ) / 1e6
    context.joules = settings.watts * outcome.seconds
    if context.caller.key is not None:
        tokens = outcome.prompt_tokens + outcome.completion_tokens
        limiter.charge(context.caller.key, tokens, context.cost)
