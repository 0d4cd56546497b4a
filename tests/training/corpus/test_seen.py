from __future__ import annotations

from pathlib import Path

from studiolo.training.corpus.seen import MOST_MEETING, Seen


def test_a_text_is_known_by_its_first_name(tmp_path: Path) -> None:
    with Seen(tmp_path / "seen.db") as seen:
        assert seen.text(b"1", "one") is None
        assert seen.text(b"2", "two") is None
        assert seen.text(b"1", "three") == "one"


def test_documents_meet_by_any_key_once_and_in_order(tmp_path: Path) -> None:
    with Seen(tmp_path / "seen.db") as seen:
        seen.met([1, -2, 2**63 - 1], "one", b"a")
        seen.met([-2, 4], "two", b"b")
        assert list(seen.meeting([4, -2])) == [("one", b"a"), ("two", b"b")]
        assert list(seen.meeting([2**63 - 1])) == [("one", b"a")]
        assert list(seen.meeting([7])) == []


def test_a_crowded_key_is_bounded(tmp_path: Path) -> None:
    with Seen(tmp_path / "seen.db") as seen:
        for number in range(MOST_MEETING + 10):
            seen.met([1], str(number), b"")
        assert len(list(seen.meeting([1]))) == MOST_MEETING
