from __future__ import annotations

from studiolo.training.corpus.steps.near import NearRules


def test_one_word_switches_a_step_and_keeps_its_thresholds() -> None:
    assert NearRules.model_validate(False) == NearRules(apply=False)
    assert NearRules.model_validate(True) == NearRules()
    assert NearRules.model_validate({"rows": 4}).apply
