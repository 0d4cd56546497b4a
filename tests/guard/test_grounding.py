from __future__ import annotations

from pathlib import Path

import studiolo
from studiolo.guard.grounding import support
from tests.guard.samples import embedded

SOURCE = "The bridge was opened in 1932. It is 1,149 metres long and carries eight lanes."


def test_what_is_copied_is_supported_and_what_is_invented_is_not() -> None:
    answer = "The bridge was opened in 1932. Elephants like bananas."
    first, second = support(answer, [SOURCE], None, embedded).sentences
    assert answer[first[0] : first[1]] == "The bridge was opened in 1932."
    assert first[2] > 0.95
    assert second[2] < 0.2


def test_a_number_that_is_not_there_halves_it() -> None:
    right, wrong = (
        support(f"The bridge was opened in {year}.", [SOURCE], None, embedded).sentences[0][2]
        for year in (1932, 1933)
    )
    assert wrong < right / 2 + 0.01
    assert support("It is 1149 metres long.", [SOURCE], None, embedded).sentences[0][2] > 0.5


def test_nothing_supports_without_sources() -> None:
    assert support("A b.", [], None, embedded).sentences == ((0, 4, 0.0),)
    assert support("", [SOURCE], "Why?", embedded).sentences == ()
    assert support("", [SOURCE], "Why?", embedded).relevance is None


def test_two_sentences_of_a_source_support_one() -> None:
    joined = "The bridge was opened in 1932 and is 1,149 metres long."
    assert support(joined, [SOURCE], None, embedded).sentences[0][2] > 0.7


def test_relevance(encoder: Path) -> None:
    model = studiolo.load_encoder(str(encoder))

    def embed(texts: object) -> object:
        return model.embed(texts, truncate=True).numpy()  # type: ignore[arg-type]

    question = "When was the bridge opened?"
    near = support("It was opened in 1932.", [SOURCE], question, embed).relevance
    far = support("Bananas are yellow.", [SOURCE], question, embed).relevance
    assert near is not None
    assert far is not None
    assert near > 0.4 > 0.2 > far
    told = support("The bridge opened in 1932.", [SOURCE], None, embed).sentences
    assert told[0][2] > 0.7
