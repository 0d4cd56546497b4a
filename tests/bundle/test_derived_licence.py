from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.bundle.derived_licence import CLASSES, UNKNOWN, derived, place_of
from studiolo.errors import InvalidRequestError

NAMES = [name for names in CLASSES.values() for name in names]
licences = st.lists(
    st.sampled_from([*NAMES, UNKNOWN, "Gemma Terms of Use"]), min_size=1, max_size=5
)


def of(names: list[str]) -> str | None:
    try:
        return derived({f"source {i}": name for i, name in enumerate(names)})
    except InvalidRequestError:
        return None


@pytest.mark.parametrize(
    ("names", "licence"),
    [
        (["MIT"], "MIT"),
        (["MIT", "Apache-2.0"], "Apache-2.0"),
        (["CC0-1.0", "CC-BY-SA-4.0", "MIT"], "CC-BY-SA-4.0"),
        (["Apache-2.0", "CC-BY-NC-4.0"], "CC-BY-NC-4.0"),
        (["Apache-2.0", "Gemma Terms of Use"], "Gemma Terms of Use"),
        (["MIT", "unknown"], "unknown"),
        (["apache-2.0", "mit"], "apache-2.0"),
        ([], "unknown"),
    ],
)
def test_the_most_restrictive_wins(names: list[str], licence: str) -> None:
    assert of(names) == licence


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CC-BY-SA-4.0", "GPL-2.0-only"),
        ("GPL-3.0-only", "CC-BY-NC-4.0"),
        ("CC-BY-SA-4.0", "Gemma Terms of Use"),
        ("Llama 3.2 Community License", "Gemma Terms of Use"),
    ],
)
def test_two_that_cannot_both_be_kept_are_named(one: str, other: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        derived({"the text": one, "the parent": other, "more": "MIT"})
    for part in (one, other, "the text", "the parent"):
        assert part in str(caught.value)


@given(licences)
def test_order_and_repetition_do_not_matter(names: list[str]) -> None:
    found = of(names)
    assert found == of(sorted(names)) == of(names + names)
    if found is not None:
        assert place_of(found) == max(map(place_of, names))


@given(licences, licences)
def test_part_by_part_comes_to_the_same(some: list[str], more: list[str]) -> None:
    first, whole = of(some), of(some + more)
    if first is not None and whole is not None:
        assert of([first, *more]) == whole


def test_no_name_stands_in_two_classes() -> None:
    assert len({name.lower() for name in NAMES}) == len(NAMES)
    assert all(place_of(a) <= place_of(b) for a, b in itertools.pairwise(NAMES))
