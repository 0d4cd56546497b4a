from __future__ import annotations

import time

import pytest

from studiolo.guard.finding import Kind
from studiolo.guard.labelled import LABELLED
from tests.guard.samples import HARMLESS, found


def every(text: str) -> set[tuple[Kind, str]]:
    return {each for rule in LABELLED for each in found(rule, text)}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.PASSWORD, "password: hunter", "hunter"),
        (Kind.PASSWORD, "my password is Tr0ub4dor&3.", "Tr0ub4dor&3"),
        (Kind.PASSWORD, '{"password": "correct-horse"}', "correct-horse"),
        (Kind.PASSWORD, "PWD=s3cret;", "s3cret"),
        (Kind.PASSWORD, "the passphrase is “open sesame”", "open sesame"),
        (Kind.USERNAME, "username: mary_s", "mary_s"),
        (Kind.USERNAME, "her user name is mary99, she says", "mary99"),
        (Kind.USERNAME, "logged in as m.smith7", "m.smith7"),
        (Kind.USERNAME, "follow @mary_s on twitter", "@mary_s"),
        (Kind.PIN, "my PIN is 4821", "4821"),
        (Kind.PIN, "the pin number: 482199", "482199"),
        (Kind.CREDIT_DEBIT_CARD_CVV, "CVV: 123", "123"),
        (Kind.CREDIT_DEBIT_CARD_CVV, "the security code on the back is 1234.", "1234"),
        (Kind.CREDIT_DEBIT_CARD_EXPIRY, "exp 04/27", "04/27"),
        (Kind.CREDIT_DEBIT_CARD_EXPIRY, "card valid thru December 2029", "December 2029"),
        (Kind.DRIVER_ID, "driver's license number D123-4567", "D123-4567"),
        (Kind.LICENSE_PLATE, "license plate 7ABC123", "7ABC123"),
        (Kind.US_BANK_ACCOUNT_NUMBER, "account number: 123456789", "123456789"),
        (Kind.VEHICLE_IDENTIFICATION_NUMBER, "VIN WVWZZZ1JZXW000001", "WVWZZZ1JZXW000001"),
    ],
)
def test_what_follows_its_label(kind: Kind, text: str, value: str) -> None:
    assert (kind, value) in every(text)


@pytest.mark.parametrize(
    "text", [*HARMLESS, "The password was changed to something longer.", "Your login failed."]
)
def test_what_is_harmless_is_left(text: str) -> None:
    assert every(text) == set()


@pytest.mark.parametrize("text", ["password is " * 340, "PIN " * 1024, "account " * 512])
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    every(text)
    assert time.process_time() - start < 2
