from __future__ import annotations

from studiolo.guard.finding import Finding, Kind
from studiolo.guard.rule import SURE, rule, words

ALONE = rule(Kind.PIN, r"\b\d{4}\b", 0.9)
BESIDE = rule(Kind.PIN, r"\b\d{4}\b", 0.1, words("pin", "code"))
CHECKED = rule(Kind.PIN, r"x(?P<v>\d{4})", 0.9, check=lambda value: value[0] == "1")


def test_a_form_alone_or_beside_a_word() -> None:
    assert list(ALONE.find("in 1999")) == [Finding(3, 7, Kind.PIN, 0.9)]
    assert list(BESIDE.find("in 1999")) == []
    (found,) = BESIDE.find("my PIN 1999")
    assert (found.start, found.end) == (7, 11)
    assert found.score > 0.9
    assert list(BESIDE.find("spinning 1999")) == []


def test_the_nearer_word_is_the_surer() -> None:
    near, far = (next(iter(BESIDE.find(f"pin {gap}1999"))).score for gap in ("", "a " * 30))
    assert SURE < far < near
    assert list(BESIDE.find("pin " + "a " * 60 + "1999")) == []


def test_words_before_the_part_and_behind_the_match_count() -> None:
    assert len(list(BESIDE.find("1999", before="the code is "))) == 1
    assert len(list(BESIDE.find("1999 is my pin"))) == 1


def test_the_value_is_the_group_and_must_pass() -> None:
    assert list(CHECKED.find("x1999 x2999")) == [Finding(1, 5, Kind.PIN, 0.9)]
