from __future__ import annotations

import time

import pytest

from studiolo.guard.finding import Finding, Kind
from studiolo.guard.places import PLACES, with_towns
from tests.guard.samples import HARMLESS


def addresses(text: str, towns: tuple[str, ...] = (), before: str = "") -> list[str]:
    streets = [each for rule in PLACES for each in rule.find(text)]
    spans = [(text.index(town), text.index(town) + len(town)) for town in towns]
    return [text[each.start : each.end] for each in with_towns(text, streets, spans, before)]


@pytest.mark.parametrize(
    "address",
    [
        "12 High Street",
        "221B Baker Street, London NW1 6XE",
        "1600 Pennsylvania Avenue NW, Washington, DC 20500",
        "123 Jenna Forks Apt. 123\nSouth Kyle, TX 12345",
        "100 Main Street, Anytown, CA 90210-1234",
        "957 West Top\nWest Melissaberg, SA, 1203",
        "Musterstraße 12, 10115 Berlin",
        "Roskothstr. 1\n58709 Dieburg",
        "12 rue de la Paix, 75002 Paris",
        "Calle Mayor 12, 28013 Madrid",
        "P.O. Box 1234",
        "Springfield, IL 62704",
        "Toronto, ON M5V 2T6",
        "USNS Thomas\nFPO AA 40725",
    ],
)
def test_addresses_of_several_countries(address: str) -> None:
    assert addresses(f"It is {address}.") == [address]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_is_left(text: str) -> None:
    assert addresses(text, ("Paris", "France") if "Paris" in text else ()) == []


def test_towns_join_their_street() -> None:
    text = "at 12 High Street, Bath, England"
    assert addresses(text, ("Bath", "England")) == ["12 High Street, Bath, England"]


def test_a_town_alone_is_an_address_where_somebody_lives() -> None:
    assert addresses("She lives in Bath.", ("Bath",)) == ["Bath"]
    assert addresses("Bath has a spa.", ("Bath",)) == []
    assert addresses("Bath.", ("Bath",), before="where she was born in ") == ["Bath"]


def test_neighbours_become_one() -> None:
    both = [Finding(0, 3, Kind.ADDRESS, 0.7), Finding(5, 9, Kind.ADDRESS, 0.6)]
    assert list(with_towns("abc, defg", both, [])) == [Finding(0, 9, Kind.ADDRESS, 0.7)]


@pytest.mark.parametrize(
    "text",
    [
        "1 A " * 1024,
        "Ab " * 1360,
        "12345 " * 680,
        "Aa-" * 1365,
        "x" * 4096,
        "1 aaaa " * 580,
        "address: " * 455,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    for rule in PLACES:
        list(rule.find(text))
    assert time.process_time() - start < 4
