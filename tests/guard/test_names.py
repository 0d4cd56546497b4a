from __future__ import annotations

from pathlib import Path

import pytest

from studiolo.errors import MalformedFileError
from studiolo.guard.finding import Kind
from studiolo.guard.names import NAMES_MODEL, Names, folder_of_names
from tests.guard.samples import found


def people(names: Names, text: str) -> list[str]:
    assert {kind for kind, _ in found(names, text)} <= {Kind.NAME}
    return sorted({value for _, value in found(names, text)})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Dr. van der Berg will see you.", "van der Berg"),
        ("Patient: Mary Jones, ward 4", "Mary Jones"),
        ("Name: Zoë O'Neill", "Zoë O'Neill"),
        ("Hi Ann, how are you?", "Ann"),
        ("My name is J. R. Smith-Jones and", "J. R. Smith-Jones"),
        ("Kind regards,\nMary", "Mary"),
    ],
)
def test_names_that_are_introduced_need_no_model(text: str, name: str) -> None:
    assert people(Names(), text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "Hello World!",
        "Dear Sir or Madam,",
        "I am Fine.",
        "name: str",
        "Patient: Nope, never.\nPatient: Oh I see.",
        "Customer: It is broken.",
    ],
)
def test_what_is_introduced_and_is_no_name(text: str) -> None:
    assert people(Names(), text) == []
    assert Names().towns(text) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Mary Smith's car was parked outside.", "Mary Smith"),
        ("Yesterday Angela Merkel met Barack Obama.", "Angela Merkel"),
        ("Our new colleague Benito Franch starts on Monday.", "Benito Franch"),
    ],
)
def test_the_model_finds_the_others(names: Names, text: str, name: str) -> None:
    assert name in people(names, text)


@pytest.mark.parametrize(
    "text",
    [
        "Paris is the capital of France.",
        "The function returns -1 if the key is not found.",
        "We met at Goldman Bank on Tuesday.",
        "{NAME} wrote to {NAME}.",
    ],
)
def test_not_everything_is_a_person(names: Names, text: str) -> None:
    assert people(names, text) == []


def test_the_model_is_not_asked_where_no_name_can_be() -> None:
    def never(text: str) -> object:
        raise AssertionError(text)

    for text in ("The sky is blue. It is.", "12 + 3", "all lower case", ""):
        assert people(Names(never), text) == []
    with pytest.raises(AssertionError):
        people(Names(never), "The sky over Berlin is blue.")


def test_towns(names: Names) -> None:
    text = "From London to Paris."
    assert [text[a:b] for a, b in names.towns(text)] == ["London", "Paris"]


def test_a_folder_that_is_no_model(tmp_path: Path, home: Path) -> None:
    with pytest.raises(MalformedFileError, match=f"`studiolo pull {NAMES_MODEL}`"):
        Names.load(tmp_path)
    (tmp_path / "config.cfg").write_text("[nlp]\nlang = 3\n")
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(MalformedFileError):
        Names.load(tmp_path)
    assert folder_of_names() is None
