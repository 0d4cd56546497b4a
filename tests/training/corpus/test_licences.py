from __future__ import annotations

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.chain import Outcome
from studiolo.training.corpus.document import Document
from studiolo.training.corpus.licences import check_licences, licence_of
from studiolo.training.corpus.tally import Tally
from tests.training.corpus.small import recipe

ONE = {"name": "one", "path": "x", "licence": "CC-BY-SA-4.0"}
TWO = {"name": "two", "path": "x", "licence": "CC-BY-NC-4.0"}


def tally(*licences: str) -> Tally:
    made = Tally()
    for own in licences:
        made.outcome(Outcome(Document("a", "s", "i", own), 1))
    return made


def test_a_conflict_shows_before_anything_is_read_unless_one_is_kept_out() -> None:
    with pytest.raises(InvalidRequestError, match=r"one comes under CC-BY-SA-4\.0 and the source"):
        check_licences(recipe(ONE, TWO))
    check_licences(recipe(ONE, TWO, steps={"licence": {"allow": ["cc-by-sa-4.0"]}}))
    check_licences(recipe(ONE, TWO | {"licence_field": "l"}))
    with pytest.raises(InvalidRequestError):
        check_licences(
            recipe(ONE, TWO, steps={"licence": {"deny": ["CC-BY-NC-4.0"], "apply": False}})
        )


def test_only_what_is_kept_counts() -> None:
    made = recipe(ONE, TWO)
    assert licence_of(made, [tally("MIT", "CC0-1.0"), tally()]) == "MIT"
    assert licence_of(made, [tally("MIT"), tally("unknown")]) == "unknown"
    with pytest.raises(InvalidRequestError, match=r"1 documents of the source one \(GPL"):
        licence_of(made, [tally("GPL-3.0-only", "CC-BY-SA-4.0"), tally()])
