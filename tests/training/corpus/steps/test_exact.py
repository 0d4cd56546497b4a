from __future__ import annotations

from pathlib import Path

from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.seen import Seen
from studiolo.training.corpus.steps.exact import exact
from tests.training.corpus.small import document


def test_the_first_of_copies_stays(tmp_path: Path) -> None:
    with Seen(tmp_path / "seen.db") as seen:
        first = document("a", "1", "books")
        assert exact(first, seen) is first
        assert exact(document("a", "2", "web"), seen) == Dropped("is an exact copy", "of books: 1")
        other = document("a ", "3")
        assert exact(other, seen) is other
