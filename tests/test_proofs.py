from __future__ import annotations

import datetime
import time
from pathlib import Path

from tests.proofs import HEADER, RULE, Outcome, record

DAY = datetime.date(2030, 1, 2)


def outcome(name: str, **passed: bool) -> Outcome:
    asked = dict.fromkeys(passed, 5_000)
    return Outcome(name, time.monotonic(), "what it shows", asked, passed)


def test_a_row_counts_what_was_done_or_says_partial() -> None:
    assert (
        outcome("fuzz", a=True, b=True).row(DAY)
        == "| fuzz | what it shows | 2030-01-02 | `make prove NAME=fuzz` | 10,000 | passed in 0 s |"
    )
    assert "| partial | failed: b |" in outcome("fuzz", a=True, b=False).row(DAY)


def test_a_test_that_never_ended_is_not_complete() -> None:
    interrupted = Outcome("x", time.monotonic(), "w", {"a": 3}, {})
    assert "| partial |" in interrupted.row(DAY)


def test_a_row_is_replaced_and_the_others_stay_in_order(tmp_path: Path) -> None:
    page = tmp_path / "proofs.md"
    page.write_text(f"# Proofs\n\nWords.\n\n{HEADER}\n{RULE}\n", encoding="utf-8")
    for name in ("b", "a", "b"):
        record(page, outcome(name, t=True))
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[:6] == ["# Proofs", "", "Words.", "", HEADER, RULE]
    assert [line.split("|")[1].strip() for line in lines[6:]] == ["a", "b"]
