from __future__ import annotations

import pytest

from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.steps.quality import QualityRules, quality
from tests.training.corpus.small import document, prose

GOOD = "The rain and the street of that old town have gone. " * 6


@pytest.mark.parametrize(
    ("text", "why", "detail"),
    [
        ("the rain of " * 16 + "a", "number of words", "49, not 50 to 100,000"),
        ("a b " * 30, "mean length of words", "1.00, not 3.0 to 10.0"),
        ("extraordinarily " * 60, "mean length of words", "15.00, not 3.0 to 10.0"),
        (GOOD + "#tag " * 12, "hash signs for each word", "0.15, more than 0.1"),
        (GOOD + "well... " * 12, "ellipses for each word", "0.15, more than 0.1"),
        ("- rain and the street\n" * 20, "lines with a bullet", "1.00, more than 0.9"),
        (
            "the rain of the old town and of the far and wide street…\n" * 5,
            "lines with an ellipsis at the end",
            "1.00, more than 0.3",
        ),
        ("rain 1234 and 5678 " * 20, "words with a letter", "0.50, less than 0.8"),
        ("rain street lamp " * 30, "stop words", "0, fewer than 2"),
    ],
)
def test_each_rule_drops_what_breaks_it(text: str, why: str, detail: str) -> None:
    assert quality(document(text), QualityRules()) == Dropped(why, detail)


def test_prose_passes_and_a_threshold_may_be_moved() -> None:
    for text in (GOOD, prose(1)):
        own = document(text)
        assert quality(own, QualityRules()) is own
    short = document("The rain and the street.")
    assert quality(short, QualityRules(fewest_words=3)) is short


def test_nothing_is_dropped_for_its_words_and_no_number_is_divided_by() -> None:
    assert quality(document(""), QualityRules(fewest_words=0)) == Dropped(
        "mean length of words", "0.00, not 3.0 to 10.0"
    )
