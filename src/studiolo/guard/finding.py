"""What a look at a text finds: which kind of personal data stands where, and how surely.

The 31 kinds and their names are those of Amazon Bedrock Guardrails (`PiiEntityType` of its
`CreateGuardrail`), so that a policy written for one means the same to the other. Notable choice:
a finding holds no text. Whoever has the text can cut it out; whoever has a log of findings cannot
leak it. Deliberately unknown here: how anything is found, and what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from studiolo.errors import InvalidRequestError


class Kind(StrEnum):
    """The kinds of personal data, in the order of Bedrock's own list."""

    ADDRESS = "ADDRESS"
    AGE = "AGE"
    NAME = "NAME"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    USERNAME = "USERNAME"
    PASSWORD = "PASSWORD"  # noqa: S105
    DRIVER_ID = "DRIVER_ID"
    LICENSE_PLATE = "LICENSE_PLATE"
    VEHICLE_IDENTIFICATION_NUMBER = "VEHICLE_IDENTIFICATION_NUMBER"
    CREDIT_DEBIT_CARD_CVV = "CREDIT_DEBIT_CARD_CVV"
    CREDIT_DEBIT_CARD_EXPIRY = "CREDIT_DEBIT_CARD_EXPIRY"
    CREDIT_DEBIT_CARD_NUMBER = "CREDIT_DEBIT_CARD_NUMBER"
    PIN = "PIN"
    INTERNATIONAL_BANK_ACCOUNT_NUMBER = "INTERNATIONAL_BANK_ACCOUNT_NUMBER"
    SWIFT_CODE = "SWIFT_CODE"
    IP_ADDRESS = "IP_ADDRESS"
    MAC_ADDRESS = "MAC_ADDRESS"
    URL = "URL"
    AWS_ACCESS_KEY = "AWS_ACCESS_KEY"
    AWS_SECRET_KEY = "AWS_SECRET_KEY"  # noqa: S105
    US_BANK_ACCOUNT_NUMBER = "US_BANK_ACCOUNT_NUMBER"
    US_BANK_ROUTING_NUMBER = "US_BANK_ROUTING_NUMBER"
    US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER = "US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER"
    US_PASSPORT_NUMBER = "US_PASSPORT_NUMBER"
    US_SOCIAL_SECURITY_NUMBER = "US_SOCIAL_SECURITY_NUMBER"
    CA_HEALTH_NUMBER = "CA_HEALTH_NUMBER"
    CA_SOCIAL_INSURANCE_NUMBER = "CA_SOCIAL_INSURANCE_NUMBER"
    UK_NATIONAL_HEALTH_SERVICE_NUMBER = "UK_NATIONAL_HEALTH_SERVICE_NUMBER"
    UK_NATIONAL_INSURANCE_NUMBER = "UK_NATIONAL_INSURANCE_NUMBER"
    UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER = "UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER"


@dataclass(frozen=True, order=True)
class Finding:
    """Characters ``start`` to ``end`` (exclusive) of a text are of ``kind``.

    ``score``: from 0 to 1, how sure; not a probability, but 1 means that a checksum agrees or
    that a label says so.
    """

    start: int
    end: int
    kind: Kind
    score: float

    def moved(self, by: int) -> Finding:
        """The same, in a text in which as many characters come before."""
        return Finding(self.start + by, self.end + by, self.kind, self.score)


def kinds_of(names: Iterable[str], *, field: str = "kinds") -> frozenset[Kind]:
    """The kinds of these names, in any case; raises :class:`InvalidRequestError` for others."""
    found = set()
    for name in names:
        try:
            found.add(Kind(name.strip().upper()))
        except ValueError:
            near = get_close_matches(name.strip().upper(), list(Kind), n=2, cutoff=0.4)
            hint = f"Did you mean {' or '.join(near)}? " if near else ""
            raise InvalidRequestError(
                field,
                f"{name.strip()!r} is no kind of personal data",
                remedy=f"{hint}The kinds are {', '.join(Kind)}.",
            ) from None
    return frozenset(found)
