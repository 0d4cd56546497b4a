from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import UnsupportedModelError
from studiolo.modality.text.gguf_characters import character_level, read_spelled, spelled


@given(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"))
def test_every_character_comes_back(character: str) -> None:
    assert read_spelled(spelled(character)) == character


def test_the_mark_of_a_space_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="stands for a space"):
        spelled("\u2581")


def test_a_longer_token_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="'the' is not one character"):
        read_spelled("the")


def test_ids_are_the_places_and_the_unknown_has_one() -> None:
    backend = character_level({"a": 0, "é": 1, "?": 2}, 2)
    assert backend.encode("aéx").ids == [0, 1, 2]
    assert backend.decode([0, 1]) == "aé"
