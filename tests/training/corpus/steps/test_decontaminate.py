from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.steps.decontaminate import (
    DecontaminateRules,
    Examined,
    decontaminate,
)
from tests.training.corpus.small import document

QUESTION = "Which of the following streets were wet after the rain, and which of them were not wet?"
RULES = DecontaminateRules(against=("x",))
EXAMINED = Examined.of([QUESTION, "One two three four five six seven eight", "Too short."], 13)


def test_a_document_with_a_run_of_a_question_goes() -> None:
    quoted = "It asked: which of the FOLLOWING streets were wet after the rain — and which of, well"
    said = decontaminate(document(quoted), RULES, EXAMINED)
    assert said == Dropped(
        "is in an evaluation set",
        "runs in common: 1, the first: which of the following streets were wet after the rain and "
        "which of",
    )
    for clean in (
        "It asked which of the following streets were wet after the sun, and which of them",
        "Too short.",
        "",
    ):
        own = document(clean)
        assert decontaminate(own, RULES, EXAMINED) is own


def test_a_short_question_counts_as_a_whole() -> None:
    own = document("He counted one two three four five six seven eight nine")
    assert isinstance(decontaminate(own, RULES, EXAMINED), Dropped)
    part = document("He counted one two three four five six seven nine")
    assert decontaminate(part, RULES, EXAMINED) is part


def test_more_runs_may_be_asked_for_and_none_is_compared_with_nothing() -> None:
    own = document(QUESTION)
    assert decontaminate(own, RULES, Examined({})) is own
    many = DecontaminateRules(against=("x",), overlaps=6)
    assert decontaminate(own, many, EXAMINED) is own
    assert isinstance(
        decontaminate(own, DecontaminateRules(against=("x",), overlaps=5), EXAMINED), Dropped
    )


@given(
    st.lists(st.sampled_from("abcd"), max_size=40), st.lists(st.sampled_from("abcd"), max_size=30)
)
def test_overlap_by_definition(asked: list[str], read: list[str]) -> None:
    n = 8
    examined = Examined.of([" ".join(asked)], n)
    runs = {tuple(asked[i : i + n]) for i in range(len(asked) - n + 1)}
    shared = any(tuple(read[i : i + n]) in runs for i in range(len(read) - n + 1))
    rules = DecontaminateRules(against=("x",), words=n)
    said = decontaminate(document(" ".join(read)), rules, examined)
    assert isinstance(said, Dropped) == shared
    for known in examined.runs.values():
        assert bool(np.all(known[1:] > known[:-1]))
