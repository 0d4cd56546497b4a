from __future__ import annotations

from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.steps.licence import LicenceRules, licence
from tests.training.corpus.small import document


def test_only_what_is_allowed_and_not_denied_comes_in() -> None:
    own = document("a", licence="MIT")
    assert licence(own, LicenceRules()) is own
    assert licence(own, LicenceRules(allow=("Apache-2.0", "mit"))) is own
    assert licence(own, LicenceRules(allow=("Apache-2.0",))) == Dropped(
        "is not among the allowed", "MIT"
    )
    assert licence(own, LicenceRules(allow=("MIT",), deny=("mit",))) == Dropped("is denied", "MIT")
