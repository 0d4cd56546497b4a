"""Presidio's recognisers, where what they know is worth having: countries' own formats.

IBANs by country, licences of fifty states, Britain's plates and insurance numbers, phone numbers of
the world. Each is called by itself, without Presidio's engine, whose enhancer wants a tagger and a
lemmatiser and whose e-mail and web recognisers fetch a list from the network. Notable choice:
Presidio's own score stands only where it comes of a checksum or of a form that nothing else has;
otherwise ours is taken, and a word beside it is asked for as in every rule. Deliberately unknown
here: kinds that Presidio has only as a bare form (``patterns``).

Source: presidio-analyzer, https://github.com/data-privacy-stack/presidio, MIT licence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from studiolo.errors import MissingExtraError
from studiolo.guard import checks
from studiolo.guard.finding import Finding, Kind
from studiolo.guard.rule import SURE, nearness, words

_REGIONS = ("US", "GB", "DE", "FR", "IN", "AU", "IT", "ES", "NL", "CH", "AT", "BR", "MX", "JP")
_KINDS = frozenset(
    {
        Kind.PHONE,
        Kind.INTERNATIONAL_BANK_ACCOUNT_NUMBER,
        Kind.UK_NATIONAL_INSURANCE_NUMBER,
        Kind.DRIVER_ID,
        Kind.LICENSE_PLATE,
    }
)
_LICENCE = words("licen[cs]e", "licen[cs]es", "driv(?:er|ing)(?:'?s)?", "dl", "permit", "dvla")
_PLATE = words(
    "plates?", "registration", "reg", "vehicle", "car", "van", "parked", "vrn", "dvla", "drives?"
)
_MACHINE = re.compile(r"\d(?:\.\d{1,3}){3}")


@dataclass(frozen=True)
class Borrowed:
    """One recogniser. ``score`` alone, ``near`` beside ``words``; ``floor``: Presidio's least."""

    kind: Kind
    recogniser: Any
    score: float
    words: re.Pattern[str] | None = None
    near: float = 0.9
    floor: float = 0.0

    def find(self, text: str, before: str = "") -> Iterator[Finding]:
        """What it finds in ``text``, which ``before`` came before."""
        entities = self.recogniser.supported_entities
        # What checks itself may be wrapped; of other numbers in lines each is its own.
        shown = text.replace("\n", " ") if self.score == 1 else text
        for each in self.recogniser.analyze(shown, entities, None) or ():
            score = self.score
            if self.words is not None:
                near = nearness(self.words, text, before, each.start, each.end)
                score = max(score, self.near * near)
            if score >= SURE and each.score >= self.floor:
                yield Finding(each.start, each.end, self.kind, score)


class Phones:
    """Numbers that are valid where they are dialled, by Google's metadata (``phonenumbers``)."""

    kind = Kind.PHONE

    def find(self, text: str, before: str = "") -> Iterator[Finding]:
        """What it finds in ``text``; plain runs of digits without a sign between are left alone."""
        from phonenumbers import Leniency, PhoneNumberMatcher

        if len(checks.digits(text)) < 7:
            return
        seen = set()
        for region in _REGIONS:
            for match in PhoneNumberMatcher(
                text, region, leniency=Leniency.STRICT_GROUPING, max_tries=99
            ):
                span = (match.start, match.end)
                separated = any(not c.isdigit() for c in match.raw_string.strip())
                apart = text[match.end : match.end + 1] not in ("-", "/") and (
                    text[: match.start][-1:] not in ("-", "/", ".", "$", "€", "£")
                )
                machine = _MACHINE.search(match.raw_string)
                long = len(match.raw_string) >= 8
                if separated and apart and long and not machine and span not in seen:
                    seen.add(span)
                    yield Finding(match.start, match.end, Kind.PHONE, 0.6)


def borrowed(kinds: Iterable[Kind]) -> list[Borrowed | Phones]:
    """Those for ``kinds``; raises :class:`MissingExtraError` where a library is not installed."""
    wanted = _KINDS & frozenset(kinds)
    found: list[Borrowed | Phones] = []
    try:
        if Kind.PHONE in wanted:
            import phonenumbers  # noqa: F401

            found.append(Phones())
        if wanted - {Kind.PHONE}:  # Presidio imports spaCy, which takes seconds
            from presidio_analyzer import predefined_recognizers as presidio

            iban, nino = Kind.INTERNATIONAL_BANK_ACCOUNT_NUMBER, Kind.UK_NATIONAL_INSURANCE_NUMBER
            found += [
                Borrowed(iban, presidio.IbanRecognizer(), 1.0, floor=0.9),
                Borrowed(nino, presidio.UkNinoRecognizer(), 0.9),
                Borrowed(Kind.DRIVER_ID, presidio.UkDrivingLicenceRecognizer(), 0.7, _LICENCE),
                Borrowed(Kind.DRIVER_ID, presidio.UsLicenseRecognizer(), 0.1, _LICENCE, 0.7, 0.25),
                Borrowed(
                    Kind.LICENSE_PLATE, presidio.UkVehicleRegistrationRecognizer(), 0.1, _PLATE, 0.7
                ),
            ]
    except ImportError:
        raise MissingExtraError("finding personal data", "guard") from None
    return [each for each in found if each.kind in wanted]
