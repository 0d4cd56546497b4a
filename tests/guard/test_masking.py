from __future__ import annotations

import sys
from pathlib import Path

import pytest

from studiolo.errors import MissingExtraError
from studiolo.guard.finder import Finder
from studiolo.guard.finding import Kind
from studiolo.guard.masking import Masker, needs_names, standard_masker
from studiolo.guard.pseudonyms import Pseudonyms
from tests.guard.test_finder import LETTER

KEY = Pseudonyms(b"k" * 32)


def test_kinds_stand_for_what_was_there(masker: Masker) -> None:
    assert masker(LETTER) == (
        "Dear {NAME},\n\nyour card {CREDIT_DEBIT_CARD_NUMBER} (exp {CREDIT_DEBIT_CARD_EXPIRY}, "
        "CVV {CREDIT_DEBIT_CARD_CVV}) was charged on 2024-01-05. Write to\n"
        "{EMAIL} or call {PHONE}.\n"
        "Yours, Dr. {NAME}\n"
    )
    done = masker.mask(LETTER)
    assert done.text == masker(LETTER)
    assert [LETTER[each.start : each.end] for each in done.findings][
        4
    ] == "mary.smith@example.co.uk"


def test_what_is_masked_is_masked_to_itself(masker: Masker, finder: Finder) -> None:
    assert masker(masker(LETTER)) == masker(LETTER)
    hidden = Masker(finder, KEY)
    assert hidden(hidden(LETTER)) == hidden(LETTER)


def test_pseudonyms_are_undone(finder: Finder) -> None:
    hidden = Masker(finder, KEY)(LETTER)
    assert "Mary" not in hidden
    assert KEY.undo(hidden) == LETTER
    assert hidden.count("{NAME:") == 2


def test_a_label_does_not_shield_what_is_beside_it() -> None:
    masker = Masker(Finder([Kind.EMAIL, Kind.PHONE]))
    assert masker("{EMAIL}x@example.org") == "{EMAIL}{EMAIL}"
    assert masker("{EMAIL:mary@example.org}") == "{EMAIL:{EMAIL}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Please ship it to Flat 3, 27 Bath Road, Bristol BS7 8AA, attn. of Mr Tom O'Leary.",
            "Please ship it to {ADDRESS}, attn. of Mr {NAME}.",
        ),
        (
            "I'm 41 years old, living in Leeds with my wife Hannah.",
            "I'm {AGE}, living in {ADDRESS} with my wife {NAME}.",
        ),
        (
            "The account holder is Wei Zhang; account number 31926819.",
            "The account holder is {NAME}; account number {US_BANK_ACCOUNT_NUMBER}.",
        ),
        ("Login: jdoe42 / Password: S3cr3t!pass", "Login: {USERNAME} / Password: {PASSWORD}"),
        (
            "Herr Klaus Fischer wohnt in der Hauptstraße 5, 80331 München.",
            "{NAME} wohnt in der {ADDRESS}.",
        ),
        (
            "You can contact Sarah on (212) 555-0187 x34 between 9 and 5.",
            "You can contact {NAME} on {PHONE} between 9 and 5.",
        ),
        (
            "ISBN 978-3-16-148410-0 costs EUR 29.99; order no. 2024-000123-77.",
            "ISBN 978-3-16-148410-0 costs EUR 29.99; order no. 2024-000123-77.",
        ),
        (
            "The Amazon is the longest river and Mount Everest the highest mountain.",
            "The Amazon is the longest river and Mount Everest the highest mountain.",
        ),
        (
            "git clone https://github.com/example/repo.git && cd repo && make -j4",
            "git clone {URL} && cd repo && make -j4",
        ),
    ],
)
def test_sentences_as_people_write_them(masker: Masker, text: str, expected: str) -> None:
    # spaCy takes the title along where it is foreign to it.
    assert masker(text).replace("Herr {NAME}", "{NAME}") == expected


def test_nothing_personal_nothing_changed(masker: Masker) -> None:
    for text in ("", "\n", "The sky is blue.\r\n\r\nIt is.  "):
        assert masker(text) == text


def test_which_kinds_need_the_model() -> None:
    assert needs_names([Kind.NAME])
    assert needs_names(Kind)
    assert not needs_names([Kind.EMAIL])


def test_nothing_is_masked_by_half(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    assert standard_masker([Kind.EMAIL])("a@example.org") == "{EMAIL}"
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(MissingExtraError, match=r"finding people's names needs the extra 'guard'"):
        standard_masker()
