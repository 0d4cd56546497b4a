from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.retrieval.evidence import MAX_REFERENCES, Evidence, Source
from studiolo.retrieval.words import content
from tests.retrieval.small import Words

TEXT = (
    "Rows wait in memory, up to 65,536 of them, and are written when the database is back. "
    "A revoked key is refused within a second by every server. "
    "Prompts are never written to the log. Contents are kept for 30 days, but receipts are not."
)
SOURCES = [Source("records.md", 100, TEXT, "Records > Keys")]


def supported(claim: str, question: str = "", sources: list[Source] | None = None) -> list[str]:
    found = Evidence(sources or SOURCES, Words()).supports(claim, question)
    return [each.window.text for each in found]


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("Every server refuses a revoked key within a second.", "A revoked key is refused"),
        ("Up to 65,536 rows wait in memory.", "Rows wait in memory"),
        ("Up to 65536 rows wait in memory.", "Rows wait in memory"),
        ("Prompts are never written to the log.", "Prompts are never"),
        ("Contents are kept for 30 days.", "Contents are kept"),
        ("Contents are kept for 30 days, but receipts are not.", "Contents are kept"),
    ],
)
def test_what_the_text_says_is_supported_by_its_sentence(claim: str, evidence: str) -> None:
    found = supported(claim)
    assert found[0].startswith(evidence)
    assert found[0].count(". ") == 0, "one sentence is enough"


@pytest.mark.parametrize(
    "claim",
    [
        "Up to 65,537 rows wait in memory.",
        "Contents are kept for 60 days.",
        "Prompts are written to the log.",
        "A revoked key is not refused within a second by every server.",
        "A revoked key costs ten euros at the harbour office.",
        "The weather is fine.",
        "It is.",
        "Receipts are kept for 30 days, but contents are not.",
    ],
)
def test_other_numbers_denials_and_additions_are_not(claim: str) -> None:
    assert supported(claim) == []


def test_a_short_answer_is_compared_together_with_its_question() -> None:
    question = "How many rows wait in memory?"
    assert supported("65,536.", question)[0].startswith("Rows wait in memory")
    assert supported("30.", question) == []


def test_a_claim_of_two_sentences_is_supported_by_both() -> None:
    found = supported(
        "Servers refuse a revoked key within a second, and prompts are never written to the log."
    )
    assert found[0].startswith("A revoked key")
    assert found[0].endswith("to the log.")


def test_places_are_those_of_the_document() -> None:
    whole = "x" * 100 + TEXT
    evidence = Evidence(SOURCES, Words())
    assert all(whole[w.start : w.end] == w.text for w in evidence.windows)


def test_pieces_that_lie_in_others_count_once() -> None:
    inner = Source("records.md", 100, TEXT[:86])
    assert len(Evidence([inner, *SOURCES], Words()).windows) == len(
        Evidence(SOURCES, Words()).windows
    )
    assert len(Evidence([Source("b.md", 100, TEXT[:86]), *SOURCES], Words()).windows) > len(
        Evidence(SOURCES, Words()).windows
    )
    assert Evidence([], Words()).supports("Rain.") == []


def test_rare_words_weigh_more() -> None:
    evidence = Evidence(SOURCES, Words())
    assert evidence.weight("mongolia") > evidence.weight("memory") > 0


@settings(deadline=None)
@given(st.text(alphabet="ab. \nAB|#12,not", max_size=120), st.text(max_size=40))
def test_support_says_what_stands_there(text: str, claim: str) -> None:
    evidence = Evidence([Source("a", 7, text)], Words())
    found = evidence.supports(claim)
    assert len(found) <= MAX_REFERENCES
    for each in found:
        assert text[each.window.start - 7 : each.window.end - 7] == each.window.text
        assert set(content(claim)) & each.window.words
