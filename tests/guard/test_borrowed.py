from __future__ import annotations

import subprocess
import sys

import pytest

from studiolo.errors import MissingExtraError
from studiolo.guard.borrowed import Phones, borrowed
from studiolo.guard.finding import Kind
from tests.guard.samples import HARMLESS, found


def every(text: str) -> set[tuple[Kind, str]]:
    return {each for one in borrowed(Kind) for each in found(one, text)}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (
            Kind.INTERNATIONAL_BANK_ACCOUNT_NUMBER,
            "GB82 WEST 1234 5698 7654 32",
            "GB82 WEST 1234 5698 7654 32",
        ),
        (Kind.UK_NATIONAL_INSURANCE_NUMBER, "NI AB 12 34 56 C", "AB 12 34 56 C"),
        (Kind.LICENSE_PLATE, "my car, AB51 ABC", "AB51 ABC"),
        (Kind.DRIVER_ID, "driving licence MORGA657054SM9IJ", "MORGA657054SM9IJ"),
        (Kind.PHONE, "on 020 7946 0958", "020 7946 0958"),
    ],
)
def test_each(kind: Kind, text: str, value: str) -> None:
    assert (kind, value) in every(text)


def test_what_is_wrong_is_left() -> None:
    assert every("GB83 WEST 1234 5698 7654 32") == set()
    for text in HARMLESS:
        assert every(text) == set(), text


def test_an_address_of_a_machine_is_no_phone() -> None:
    assert list(Phones().find("192.168.0.1 00")) == []


def test_only_what_is_asked_for_is_imported() -> None:
    code = (
        "import sys; from studiolo.guard.finder import Finder\n"
        "from studiolo.guard.finding import Kind; Finder([Kind.EMAIL, Kind.PHONE])\n"
        "print({'spacy', 'presidio_analyzer', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(MissingExtraError, match="'guard'"):
        borrowed([Kind.DRIVER_ID])
    assert len(borrowed([Kind.EMAIL])) == 0
