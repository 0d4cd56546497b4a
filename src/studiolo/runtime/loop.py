"""The one loop: advance everything that is live, a step at a time, until nothing is.

Knows the contract and no family. Between two steps the caller sees every progress, may show
it, and may drop it by closing the iterator.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from studiolo.family.contract import GenerativeModel, P, Request, Sample


def steps(
    model: GenerativeModel[Request, P, Sample], progresses: Sequence[P]
) -> Generator[None, None, None]:
    """Advance ``progresses`` together; yields after each step."""
    while live := [progress for progress in progresses if not progress.done]:
        model.advance(live)
        yield
