from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.answer import Answer, ask
from studiolo.retrieval.asker import OWNER, Asker
from studiolo.retrieval.index import Index
from studiolo.retrieval.prompting import NOT_FOUND
from tests.retrieval.small import Words, indexed, pdf

FILES: dict[str, str | bytes] = {
    "keys.md": "# Keys\n\nA revoked key is refused within a second. Keys are never deleted.\n\n"
    "A bearer secret has 256 random bits.\n",
    "pay.md": "# Pay\n\nWages are paid on Friday.\n",
    "map.pdf": pdf("The harbour lies west.", "Apples are sold in the market."),
}
RULES = {"rules": [{"match": "pay.md", "access": ["hr"]}]}
QUESTION = "How soon is a revoked key refused?"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIOLO_HOME", str(tmp_path_factory.mktemp("home")))
        return indexed(tmp_path_factory.mktemp("docs") / "docs", FILES, RULES)[0]


def asked(index: Index, question: str, answer: str | None = None, **more: object) -> Answer:
    write = None if answer is None else (lambda messages: answer)
    options = {"asker": OWNER, "write": write} | more
    return ask(index, question, Words(), **options)  # type: ignore[arg-type]


def check(index: Index, made: Answer) -> None:
    """Every place is where it says, in the answer and in the documents."""
    for each in made.citations:
        assert made.answer[each.start : each.end] == each.sentence
        for reference in each.references:
            text = index.text(reference.source, OWNER)
            assert text.text[reference.start : reference.end] == reference.text
            assert text.page(reference.start) == reference.page


def test_each_sentence_has_its_evidence(index: Index) -> None:
    made = asked(
        index, QUESTION, "A revoked key is refused within a second. Keys are never deleted."
    )
    check(index, made)
    assert (made.kind, made.supported, len(made.citations)) == ("generated", True, 2)
    assert [each.references[0].text for each in made.citations] == [
        "A revoked key is refused within a second.",
        "Keys are never deleted.",
    ]
    said = made.to_dict()
    assert set(said) == {"answer", "supported", "kind", "withheld", "citations"}
    citation = made.citations[0].to_dict()
    assert set(citation) == {"sentence", "start", "end", "references"}
    assert set(made.citations[0].references[0].to_dict()) == {
        *("source", "page", "start", "end", "text")
    }


def test_additions_are_marked_or_withheld(index: Index) -> None:
    text = "A revoked key is refused within a second. Pigeons carry the news to Mongolia."
    made = asked(index, QUESTION, text)
    check(index, made)
    assert not made.supported
    assert [bool(each.references) for each in made.citations] == [True, False]
    kept = asked(index, QUESTION, text, unsupported="withhold")
    check(index, kept)
    assert kept.answer == "A revoked key is refused within a second."
    assert (kept.supported, kept.withheld) == (True, 1)
    with pytest.raises(InvalidRequestError, match="unsupported: must be mark or withhold"):
        asked(index, QUESTION, text, unsupported="ignore")


def test_an_answer_without_any_evidence_is_replaced_by_a_quotation(index: Index) -> None:
    made = asked(index, QUESTION, "Pigeons carry the news to Mongolia within 99 years.")
    check(index, made)
    assert (made.kind, made.supported) == ("extractive", True)
    assert "refused within a second" in made.answer
    assert made == asked(index, QUESTION)


def test_what_is_not_there_is_not_found_and_no_model_is_asked(index: Index) -> None:
    def write(messages: list[dict[str, str]]) -> str:
        raise AssertionError("nothing is near the question")

    made = asked(index, "What is the capital of Mongolia?", write=write)
    assert made == Answer(NOT_FOUND, "not_found")
    assert not made.supported
    assert asked(index, QUESTION, "I did not find that.").kind == "not_found"


def test_what_may_not_be_seen_is_not_found(index: Index) -> None:
    question = "When are wages paid?"
    assert (
        asked(index, question, asker=Asker.known_as(["hr"])).answer == "Wages are paid on Friday."
    )
    assert asked(index, question, asker=Asker.known_as(["it"])).kind == "not_found"


def test_a_reference_into_a_pdf_has_its_page(index: Index) -> None:
    for wide in (False, True):
        made = asked(index, "Where are apples sold?", wide=wide)
        check(index, made)
        assert made.citations[0].references[0].page == 2


def test_the_model_reads_the_passages_alone(index: Index) -> None:
    seen: list[str] = []

    def write(messages: list[dict[str, str]]) -> str:
        seen.append(messages[-1]["content"])
        return "It is refused within a second."

    asked(index, QUESTION, write=write, k=1)
    assert "A revoked key is refused" in seen[0]
    assert "Apples" not in seen[0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.lists(
        st.sampled_from(
            [
                *("A revoked key is refused within a second.", "Keys are never deleted.", "\n\n- "),
                *("Keys are deleted.", "256 bits.", "It has 257 bits.", " ", "Wages", "\n", "…"),
            ]
        )
    ).map("".join)
    | st.text(max_size=60)
)
def test_no_answer_cites_what_is_not_there(index: Index, text: str) -> None:
    for policy in ("mark", "withhold"):
        check(index, asked(index, QUESTION, text, unsupported=policy))
