from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.steps.repetition import (
    RepetitionRules,
    again,
    commonest,
    repeated,
    repetition,
)
from tests.training.corpus.small import document, prose

WORDS = st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=25)


@given(WORDS, st.integers(1, 5))
def test_the_commonest_run_by_definition(words: list[str], n: int) -> None:
    runs = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    most = max(runs.values(), default=0)
    expected = max(
        (len("".join(run)) * times for run, times in runs.items() if times == most > 1), default=0
    )
    assert commonest(words, n) == expected


@given(WORDS, st.integers(1, 5))
def test_characters_in_repeated_runs_by_definition(words: list[str], n: int) -> None:
    runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    covered = {j for i, run in enumerate(runs) if run in runs[:i] for j in range(i, i + n)}
    expected = sum(len(words[j]) for j in covered)
    assert repeated(words, [len(word) for word in words], n) == expected


def test_what_was_there_before() -> None:
    assert again(["ab", "c", "ab", "ab"]) == (0.5, 4 / 7)
    assert again([]) == (0.0, 0.0)


FRESH = prose(5, 40).split(". ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n".join(["a", "b", "a", "a", "c"]), "repeated lines"),
        ("\n".join([*FRESH[:8], FRESH[0], FRESH[1], FRESH[2]]), "characters in repeated lines"),
        ("\n\n".join([FRESH[0], *["a\nb"] * 2, *["c\nd"] * 2]), "repeated lines"),
        (" ".join(f"heavily raining {word}" for word in "abcdefgh"), "commonest run of 2 words"),
        (". ".join([*FRESH[:10], *FRESH[:3]]), "repeated runs of 5 words"),
    ],
)
def test_each_rule_drops_what_breaks_it(text: str, why: str) -> None:
    said = repetition(document(text), RepetitionRules())
    assert isinstance(said, Dropped)
    assert said.why == why
    assert "more than 0." in said.detail


def test_paragraphs_count_for_themselves() -> None:
    rules = RepetitionRules(lines=1, line_characters=1)
    text = "\n\n".join(["one line", "two line", "one line"])
    assert repetition(document(text), rules) == Dropped(
        "repeated paragraphs", "0.333, more than 0.3"
    )
    lax = rules.model_copy(update={"paragraphs": 1.0})
    assert repetition(document(text), lax) == Dropped(
        "characters in repeated paragraphs", "0.333, more than 0.2"
    )


def test_fresh_prose_passes() -> None:
    own = document(prose(5))
    assert repetition(own, RepetitionRules()) is own
    assert repetition(document(""), RepetitionRules()) == document("")
