"""Against published examples, and against what a check is for: one digit changed is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from studiolo.guard import checks

GOOD: list[tuple[Callable[[str], bool], list[str]]] = [
    # Test numbers of the networks.
    (checks.card, ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"]),
    (checks.card, ["6011111111111117", "3530111333300000", "2223003122003222", "30569309025904"]),
    # The registry's own examples.
    (checks.iban, ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"]),
    (checks.iban, ["FR1420041010050500013M02606", "NO9386011117947"]),
    (checks.vin, ["1HGCM82633A004352", "1M8GDM9AXKP042788"]),
    (checks.routing, ["021000021", "011401533", "122105155"]),
    (checks.nhs, ["943 476 5919", "4010232137"]),
    (checks.sin, ["130 692 544"]),
    (checks.ssn, ["536-90-4399"]),
]


@pytest.mark.parametrize(("check", "values"), GOOD)
def test_what_is_issued_passes(check: Callable[[str], bool], values: list[str]) -> None:
    assert all(check(value) for value in values)


@pytest.mark.parametrize(("check", "values"), [row for row in GOOD if row[0] is not checks.ssn])
def test_a_digit_changed_is_refused(check: Callable[[str], bool], values: list[str]) -> None:
    # The check character of a VIN, the last digit of all others.
    for value in values:
        place = 8 if check is checks.vin else len(value) - 1
        for other in "0123456789":
            if value[place] != other:
                assert not check(value[:place] + other + value[place + 1 :]), value


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (checks.card, "0000 0000 0000 0000"),
        (checks.card, "4111"),
        (checks.iban, "GB82"),
        (checks.vin, "1" * 17),
        (checks.vin, "1HGCM82633A00435I"),
        (checks.routing, "000000000"),
        (checks.routing, "999999992"),
        (checks.ssn, "000-12-3456"),
        (checks.ssn, "666-12-3456"),
        (checks.ssn, "912-12-3456"),
        (checks.ssn, "123-00-3456"),
        (checks.ssn, "123-45-0000"),
        (checks.nhs, "1111111111"),
        (checks.sin, "046 454 286"),
        (checks.utr, "12345"),
        (checks.address, "999.1.1.1"),
        (checks.address, "::"),
        (checks.secret, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ],
)
def test_what_cannot_be_is_refused(check: Callable[[str], bool], value: str) -> None:
    assert not check(value)


def test_one_first_digit_in_ten_makes_a_utr() -> None:
    for tail in ("123456789", "955839661", "000000001"):
        assert sum(checks.utr(f"{first}{tail}") for first in range(10)) <= 1
    assert checks.utr("1955839661")  # HMRC's sample
