from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.training.fields import Section, checked, override, read_values


class Leaf(Section):
    word: str = "a"
    words: tuple[str, ...] | str = "a"
    many: tuple[str, ...] = ()
    number: int = 1


class Root(Section):
    name: str = "x"
    leaves: tuple[Leaf, ...] = ()
    leaf: Leaf | None = None


def overridden(value: dict[str, object], *settings: str) -> Root:
    for setting in settings:
        override(value, setting, Root)
    return checked(value, Root)


def test_entries_of_lists_are_named_by_number_or_by_name() -> None:
    class Named(Section):
        name: str
        word: str = ""

    class Holder(Section):
        entries: tuple[Named, ...]

    value: dict[str, object] = {"entries": [{"name": "one"}, {"name": "two"}]}
    override(value, "entries.two.word=12", Holder)
    override(value, "entries.0.word=null", Holder)
    made = checked(value, Holder)
    assert [each.word for each in made.entries] == ["null", "12"]
    with pytest.raises(InvalidRequestError, match="no entry 'three' among 2"):
        override(value, "entries.three.word=1", Holder)
    with pytest.raises(InvalidRequestError, match="names a whole entry"):
        override(value, "entries.two=1", Holder)


def test_text_stays_as_it_is_written_and_lists_are_lists() -> None:
    made = overridden(
        {}, "leaf.word=[a", "leaf.words=[a, b]", "leaf.many=[1.0x, y]", "leaf.number=0x10"
    )
    assert made.leaf == Leaf(word="[a", words=("a", "b"), many=("1.0x", "y"), number=16)
    assert overridden({}, "leaf.words=12").leaf == Leaf(words="12")


def test_an_unknown_key_in_a_list_names_the_nearest() -> None:
    with pytest.raises(InvalidRequestError, match="Did you mean number") as caught:
        checked({"leaves": [{"word": "b"}, {"numbr": 2}]}, Root)
    assert caught.value.field == "leaves.1.numbr"
    with pytest.raises(InvalidRequestError, match="Did you mean word"):
        checked({"leaf": {"wrd": 2}}, Root)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("#" * (1 << 20) + "\na: 1", encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="larger than 1,048,576 bytes"):
        read_values(str(path), {})
    assert read_values("known", {"known": "a: 1"}) == {"a": 1}


@given(st.text(max_size=60))
def test_any_setting_is_taken_or_refused_by_name(setting: str) -> None:
    value: dict[str, object] = {"leaves": [{"word": "b"}]}
    try:
        overridden(value, setting)
        return
    except InvalidRequestError as caught:
        error = caught
    assert error.field
