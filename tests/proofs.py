"""The table of docs/proofs.md: one row a proof, rewritten when it has been run in full.

Knows the table alone, not pytest.
"""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field
from pathlib import Path

HEADER = "| name | what | date | command | count | result |"
RULE = "| --- | --- | --- | --- | --- | --- |"


@dataclass
class Outcome:
    """One run of a proof: which tests asked for it, for how much, and which passed."""

    name: str
    started: float
    what: str = ""
    asked: dict[str, int] = field(default_factory=dict)
    passed: dict[str, bool] = field(default_factory=dict)

    def row(self, today: datetime.date) -> str:
        """The table row. The count is the word ``partial`` unless every test passed."""
        complete = all(self.passed.get(test, False) for test in self.asked)
        count = f"{sum(self.asked.values()):,}" if complete else "partial"
        seconds = time.monotonic() - self.started
        failed = [test for test in self.asked if not self.passed.get(test, False)]
        result = f"passed in {seconds:,.0f} s" if complete else f"failed: {', '.join(failed)}"
        cells = (self.name, self.what, today.isoformat(), f"`make prove NAME={self.name}`")
        return "| " + " | ".join((*cells, count, result)).replace("\n", " ") + " |"


def record(page: Path, outcome: Outcome) -> None:
    """Put the outcome's row into the table of ``page``, in the order of the names."""
    before, _, table = page.read_text(encoding="utf-8").partition(f"{HEADER}\n{RULE}\n")
    rows = {row.split("|")[1].strip(): row for row in table.splitlines() if row.startswith("|")}
    rows[outcome.name] = outcome.row(datetime.datetime.now(datetime.UTC).date())
    body = "\n".join(rows[name] for name in sorted(rows))
    page.write_text(f"{before}{HEADER}\n{RULE}\n{body}\n", encoding="utf-8")
