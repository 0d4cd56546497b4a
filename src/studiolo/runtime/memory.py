"""The memory that requests may hold together: reserved before they begin, returned at their end.

A request says beforehand what it may come to hold at most, and is let in only when that is free.
So nothing that runs ever has to be put out again to make room. Knows bytes, and not whose.

Whoever finds too little free has the first claim on what is returned: until it is served, nobody
else gets any, or a stream of small requests would keep a large one out for ever.
"""

from __future__ import annotations

from studiolo.errors import MemoryLimitError

SPARE = 8
"""One part in so many is kept for those who hold nothing yet."""


class Memory:
    """``limit`` bytes to share out; ``used`` of them are reserved."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self.claimant: object = None

    def check(self, size: int) -> None:
        """Raise :class:`MemoryLimitError` if ``size`` bytes can never be had."""
        if size > self.limit:
            sizes = (size, self.limit, size - self.limit)
            asked, limit, over = (f"{each / 1e6:,.1f} MB" for each in sizes)
            raise MemoryLimitError(
                f"the request may need {asked} of memory, but all requests together may hold "
                f"{limit} ({over} too much)",
                remedy="Ask for less, or raise the limit.",
            )

    def take(self, size: int, who: object, *, holds: bool) -> bool:
        """Reserve ``size`` bytes; false, and the first claim, if so much is not free.

        ``holds``: whether the client of ``who`` holds some already; it then leaves the last
        eighth to others, and makes no claim on it.
        """
        if not size:
            return True
        if self.claimant not in (None, who):
            return False
        free = self.limit - self.used
        if holds and self.claimant is None and size > free - self.limit // SPARE:
            return False
        if size > free:
            self.claimant = who
            return False
        self.claimant = None
        self.used += size
        return True

    def give(self, size: int) -> None:
        """Return what was reserved."""
        self.used -= size

    def renounce(self, who: object) -> None:
        """Drop the claim of ``who``, if it has one."""
        if self.claimant is who:
            self.claimant = None
