"""Which language a document is in, by n-grams of bytes (langid.py: Lui & Baldwin 2012).

The model is inside the wheel of ``py3langid``, so that nothing is fetched. Short texts are guessed
badly, hence ``confidence``. Reads the first :data:`READ` characters.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import Field

from studiolo.errors import InvalidRequestError, MissingExtraError
from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.rules import Part, Rules

READ = 10_000


class LanguageRules(Rules):
    """Which languages may come in; without ``keep`` nobody looks."""

    keep: tuple[str, ...] | None = Field(
        None, description="ISO 639-1 codes, such as [en, de]; null: all"
    )
    confidence: Part = Field(0.5, description="least probability of the language that is found")


def language(document: Document, rules: LanguageRules) -> Document | Dropped:
    """Drop what is in another language, or in none that is clear."""
    if rules.keep is None:
        return document
    found, probability = identified(document.text)
    if found not in rules.keep:
        return Dropped("is in another language", f"{found}, probability {probability:.2f}")
    if probability < rules.confidence:
        return Dropped(
            "is in no clear language",
            f"{found}, probability {probability:.2f}, less than {rules.confidence}",
        )
    return document


def identified(text: str) -> tuple[str, float]:
    """The likeliest language (ISO 639-1) and its probability."""
    code, probability = _identifier().classify(text[:READ])
    return str(code), float(probability)


def check_codes(rules: LanguageRules) -> None:
    """Raise :class:`InvalidRequestError` for a code that the identifier never gives."""
    if not rules.apply or rules.keep is None:
        return
    known = sorted(str(label) for label in _identifier().labels)
    for code in rules.keep:
        if code not in known:
            raise InvalidRequestError(
                "steps.language.keep",
                f"{code!r} is no language that can be told",
                remedy=f"These can: {', '.join(known)}.",
            )


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise MissingExtraError("telling languages", "corpus") from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
