from __future__ import annotations

import time

import pytest

from studiolo.guard.finding import Kind
from studiolo.guard.patterns import PATTERNS
from tests.guard.samples import HARMLESS, found


def every(text: str) -> set[tuple[Kind, str]]:
    return {each for rule in PATTERNS for each in found(rule, text)}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.EMAIL, "to o'neil+x@mail.example.co.uk.", "o'neil+x@mail.example.co.uk"),
        (Kind.EMAIL, "mary (at) example.org", "mary (at) example.org"),
        (Kind.EMAIL, "zoë@bücher.example", "zoë@bücher.example"),
        (Kind.URL, "see https://a.example/b?c=d#e, or", "https://a.example/b?c=d#e"),
        (Kind.URL, "(www.example.com)", "www.example.com"),
        (Kind.URL, "at example.org/~ann today", "example.org/~ann"),
        (Kind.IP_ADDRESS, "from 192.168.0.1:80", "192.168.0.1"),
        (Kind.IP_ADDRESS, "via 2001:db8::ff00:42:8329.", "2001:db8::ff00:42:8329"),
        (Kind.MAC_ADDRESS, "eth0 00-1A-2b-3C-4D-5E up", "00-1A-2b-3C-4D-5E"),
        (Kind.AWS_ACCESS_KEY, "id=AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        (
            Kind.AWS_SECRET_KEY,
            "secret wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        (Kind.CREDIT_DEBIT_CARD_NUMBER, "4111-1111-1111-1111", "4111-1111-1111-1111"),
        (Kind.VEHICLE_IDENTIFICATION_NUMBER, "car 1M8GDM9AXKP042788", "1M8GDM9AXKP042788"),
        (Kind.SWIFT_CODE, "BIC: DEUTDEFF", "DEUTDEFF"),
        (Kind.SWIFT_CODE, "DEUTDEFF500", "DEUTDEFF500"),
        (Kind.US_SOCIAL_SECURITY_NUMBER, "it is 536-90-4399", "536-90-4399"),
        (Kind.US_SOCIAL_SECURITY_NUMBER, "SSN 536904399", "536904399"),
        (Kind.US_SOCIAL_SECURITY_NUMBER, "SSN: 078-05-1120", "078-05-1120"),
        (Kind.US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER, "an 912-70-1234", "912-70-1234"),
        (Kind.CA_SOCIAL_INSURANCE_NUMBER, "SIN 130692544", "130692544"),
        (Kind.CA_HEALTH_NUMBER, "OHIP 1234-567-890-AB", "1234-567-890-AB"),
        (Kind.UK_NATIONAL_HEALTH_SERVICE_NUMBER, "NHS 9434765919", "9434765919"),
        (Kind.UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER, "UTR: 12345 67890", "12345 67890"),
        (Kind.US_BANK_ROUTING_NUMBER, "routing 021000021", "021000021"),
        (Kind.US_BANK_ACCOUNT_NUMBER, "savings account 12345678901", "12345678901"),
        (Kind.US_PASSPORT_NUMBER, "passport C12345678", "C12345678"),
        (Kind.PHONE, "(415) 555-0132 ext. 12", "(415) 555-0132 ext. 12"),
        (Kind.PHONE, "+49 (0)30 1234567", "+49 (0)30 1234567"),
        (Kind.PHONE, "01 44 55 66 77", "01 44 55 66 77"),
        (Kind.PHONE, "call 5550132", "5550132"),
        (Kind.AGE, "a 34-year-old man", "34-year-old"),
        (Kind.AGE, "aged 7, she", "7"),
        (Kind.AGE, "I'm 40 and", "40"),
    ],
)
def test_each_form(kind: Kind, text: str, value: str) -> None:
    assert (kind, value) in every(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_is_left(text: str) -> None:
    assert every(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "1" * 4096,
        "a." * 2048,
        "1 " * 2048,
        ":" * 4096,
        "(0" * 2048,
        "A1" * 2048,
        "http://" * 500,
        "@" * 4096,
        "-1" * 2048,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    every(text)
    assert time.process_time() - start < 2
