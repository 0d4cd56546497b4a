from __future__ import annotations

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.steps.language import (
    LanguageRules,
    check_codes,
    identified,
    language,
)
from tests.training.corpus.small import document

ENGLISH = "After the rain, the streets were wet, and nobody was outside but the baker."
GERMAN = "Nach dem Regen waren die Straßen nass, und niemand war draußen außer dem Bäcker."


def test_languages_are_told() -> None:
    assert identified(ENGLISH)[0] == "en"
    assert identified(GERMAN)[0] == "de"


def test_only_those_that_are_kept_come_in() -> None:
    english, german = document(ENGLISH), document(GERMAN)
    rules = LanguageRules(keep=("en", "fr"))
    assert language(english, rules) is english
    said = language(german, rules)
    assert isinstance(said, Dropped)
    assert (said.why, said.detail[:4]) == ("is in another language", "de, ")
    unclear = language(document("ok"), LanguageRules(keep=(identified("ok")[0],), confidence=1.0))
    assert isinstance(unclear, Dropped)
    assert unclear.why == "is in no clear language"
    assert language(german, LanguageRules()) is german


def test_a_code_that_is_never_found_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequestError, match="'english' is no language") as caught:
        check_codes(LanguageRules(keep=("en", "english")))
    assert caught.value.field == "steps.language.keep"
    check_codes(LanguageRules(keep=("english",), apply=False))
