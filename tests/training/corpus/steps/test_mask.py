from __future__ import annotations

from studiolo.training.corpus.steps.mask import mask
from tests.training.corpus.small import document


def test_the_masker_is_whatever_is_handed_in() -> None:
    own = document("Ada wrote.")
    assert mask(own, lambda text: text.replace("Ada", "Someone")) == document("Someone wrote.")
    assert mask(own, lambda text: text) is own
