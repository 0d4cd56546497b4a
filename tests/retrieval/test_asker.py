from __future__ import annotations

from studiolo.retrieval.asker import OWNER, Asker


def test_the_owner_sees_all_and_nobody_what_is_everyones() -> None:
    assert OWNER.condition() is None
    assert Asker.known_as([]).condition() == "everyone"


def test_names_are_quoted() -> None:
    said = Asker.known_as(["b", "a'c"]).condition()
    assert said == "(everyone OR array_has_any(access, make_array('a''c', 'b')))"
