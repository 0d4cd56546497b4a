from __future__ import annotations

from pathlib import Path

from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.gate import Gate
from studiolo.training.corpus.recipe import StepsRecipe
from studiolo.training.corpus.seen import Seen
from studiolo.training.corpus.steps.near import NearRules, signature
from studiolo.training.corpus.steps.rules import Rules
from tests.training.corpus.small import outcome, prose

RULES = StepsRecipe()


def test_copies_are_turned_away_and_what_was_dropped_is_not_remembered(tmp_path: Path) -> None:
    text, other = prose(1), prose(1) + " And so it ended."
    sign = signature(text, NearRules()), signature(other, NearRules())
    with Seen(tmp_path / "seen.db") as seen:
        gate = Gate(seen, None)
        dropped = outcome(text, "0", by="quality", dropped=Dropped("x"))
        assert gate.passed(dropped, RULES) is dropped
        first = outcome(text, "1", signature=sign[0])
        assert gate.passed(first, RULES) is first
        again = gate.passed(outcome(text, "2", signature=sign[0]), RULES)
        assert (again.by, again.dropped) == ("exact", Dropped("is an exact copy", "of s: 1"))
        almost = gate.passed(outcome(other, "3", signature=sign[1]), RULES)
        assert almost.by == "near"
        assert almost.dropped is not None
        assert "of s: 1, similarity about 0." in almost.dropped.detail


def test_a_masker_sees_what_is_kept(tmp_path: Path) -> None:
    seen_texts: list[str] = []

    def masker(text: str) -> str:
        seen_texts.append(text)
        return text.replace("Ada", "[NAME]") if text != "gone" else " "

    with Seen(tmp_path / "seen.db") as seen:
        gate = Gate(seen, masker)
        told = gate.passed(outcome("Ada wrote."), RULES)
        assert (told.document.text, told.changed) == ("[NAME] wrote.", ("mask",))
        assert gate.passed(outcome("Ada wrote."), RULES).by == "exact"
        assert gate.passed(outcome("gone"), RULES).by == "mask"
        same = outcome("Nobody.")
        assert gate.passed(same, RULES) is same
    assert seen_texts == ["Ada wrote.", "gone", "Nobody."]


def test_steps_that_are_off_remember_nothing(tmp_path: Path) -> None:
    off = {"exact": Rules(apply=False), "near": Rules(apply=False)}
    rules = RULES.model_copy(update=off)
    with Seen(tmp_path / "seen.db") as seen:
        gate = Gate(seen, None)
        for _ in range(2):
            assert gate.passed(outcome(prose(1)), rules).dropped is None
        assert gate.passed(outcome(prose(1)), RULES).dropped is None
