from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.recipe import (
    CorpusRecipe,
    StepsRecipe,
    checked_corpus_recipe,
    read_corpus_recipe,
    shipped,
)
from tests.training.corpus.small import recipe

BOOKS = {"name": "books", "path": "books"}


def test_every_recipe_that_ships_is_whole_and_bears_its_name() -> None:
    assert shipped()
    for name in shipped():
        assert read_corpus_recipe(name).name == name


def test_what_nobody_says_follows_from_the_kind() -> None:
    made = recipe(BOOKS)
    [source] = made.sources
    on = {
        kind: {n for n in StepsRecipe.model_fields if getattr(made.steps_of(source, kind), n).apply}
        for kind in ("text", "html", "code")
    }
    assert on["html"] == set(StepsRecipe.model_fields)
    assert on["html"] - on["text"] == {"c4", "fineweb"}
    assert on["text"] - on["code"] == {"language", "quality", "repetition"}


def test_a_source_says_more_than_the_recipe_and_that_more_than_the_kind() -> None:
    made = recipe(
        {**BOOKS, "steps": {"quality": {"fewest_words": 5}, "c4": False}},
        {"name": "own", "path": "own", "steps": {"quality": True}},
        steps={"quality": {"fewest_words": 9, "stop_words": 0}, "c4": True, "near": False},
    )
    books, own = made.sources
    text = made.steps_of(books, "text")
    assert (text.quality.fewest_words, text.quality.stop_words) == (5, 0)
    assert text.quality.most_words == 100_000
    assert (text.c4.apply, text.near.apply, text.fineweb.apply) == (False, False, False)
    assert made.steps_of(own, "text").c4.apply
    assert not made.steps_of(own, "code").c4.apply
    assert made.steps_of(own, "code").quality.apply
    assert made.steps_of(own, "code").quality.fewest_words == 9


def test_overrides_reach_sources_by_name(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\ntokenizer: smollm2\nsources:\n  - {name: books, path: x}\n", encoding="utf-8"
    )
    made = read_corpus_recipe(
        str(path),
        [
            "sources.books.path=12",
            "sources.books.text=[a, b]",
            "sources.0.weight=2.5",
            "steps.quality=false",
            "steps.language.keep=[en, de]",
            "tokenizer=./here",
        ],
    )
    [books] = made.sources
    assert (books.path, books.text, books.weight) == ("12", ("a", "b"), 2.5)
    assert not made.steps.quality.apply
    assert made.steps.language.keep == ("en", "de")
    assert made.tokenizer.model == "./here"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"sources": []}, "sources", "at least 1 item"),
        (
            {"sources": [{"name": "a"}]},
            "sources.0",
            "one of path, package and hf, and here is none",
        ),
        (
            {"sources": [{"name": "a", "path": "x", "hf": "y"}]},
            "sources.0",
            "here is path and hf",
        ),
        ({"sources": [BOOKS, BOOKS]}, "recipe", "two sources are called 'books'"),
        ({"sources": [{**BOOKS, "wieght": 2}]}, "sources.0.wieght", "Did you mean weight"),
        ({"sources": [{**BOOKS, "weight": 0}]}, "sources.0.weight", "greater than 0, not 0"),
        ({"sources": [{**BOOKS, "kind": "word"}]}, "sources.0.kind", "not 'word'"),
        (
            {"sources": [{**BOOKS, "steps": {"near": {"bands": 3}}}]},
            "sources.0",
            "steps.near.bands is the recipe's",
        ),
        ({"steps": {"gopher": True}}, "steps.gopher", "Allowed here: licence, normalise, language"),
        ({"steps": {"quality": {"words": 3}}}, "steps.quality.words", "Did you mean"),
        ({"steps": {"quality": {"bullets": 2}}}, "steps.quality.bullets", "or equal to 1, not 2"),
        ({"tokenizer": {}}, "tokenizer", "or train: {vocabulary: N}"),
        ({"tokenizer": {"train": {}}}, "tokenizer.train.vocabulary", "required"),
        ({"tokenizer": {"train": {"vocabulary": 9}}}, "tokenizer.train.vocabulary", "not 9"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str, words: str) -> None:
    value = {"name": "r", "tokenizer": "x", "sources": [BOOKS]} | change
    with pytest.raises(InvalidRequestError) as caught:
        checked_corpus_recipe(value)
    assert caught.value.field == field
    assert words in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*CorpusRecipe.model_fields, *StepsRecipe.model_fields, "x"]), inner
        )
    ),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*CorpusRecipe.model_fields, "y"]), JSON))
def test_any_values_make_a_recipe_or_a_named_error(value: dict[str, object]) -> None:
    try:
        checked_corpus_recipe(value)
        return
    except InvalidRequestError as caught:
        error = caught
    assert error.field


def test_the_digest_is_of_the_values() -> None:
    assert recipe(BOOKS).digest == recipe(BOOKS).digest
    assert recipe(BOOKS).digest != recipe({**BOOKS, "weight": 2}).digest
