from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.training.recipe import Recipe, checked_recipe, read_recipe, shipped


def test_every_recipe_that_ships_is_whole_and_bears_its_name() -> None:
    assert "shakespeare-char" in shipped()
    for name in shipped():
        assert read_recipe(name).name == name


def test_a_file_and_a_name_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(shipped()["shakespeare-char"], encoding="utf-8")
    assert read_recipe(str(path)) == read_recipe("shakespeare-char")


def test_overrides_are_values_of_their_field() -> None:
    recipe = read_recipe(
        "shakespeare-char",
        [
            "data.path=12",
            "training.steps=7",
            "optimiser.rate=1e-3",
            "model.tied=false",
            "watch.prompt=a: [b",
            "training.average=null",
        ],
    )
    assert recipe.data.path == "12"
    assert recipe.training.steps == 7
    assert recipe.optimiser.rate == 1e-3
    assert recipe.model.tied is False
    assert recipe.watch.prompt == "a: [b"
    assert recipe.training.average is None


@pytest.mark.parametrize(
    ("override", "field", "words"),
    [
        ("data.pth=x", "data.pth", "Did you mean path? Allowed here: path, tokenizer"),
        ("sched.kind=wsd", "sched", "Did you mean schedule? Allowed here: name, seed, size"),
        ("optimiser.kind=sgd", "optimiser.kind", "'muon' or 'adamw', not 'sgd'"),
        ("training.steps=2.5", "training.steps", "valid integer, not 2.5"),
        ("training.steps=0", "training.steps", "greater than or equal to 1, not 0"),
        ("model=3", "model", "not 3"),
        ("size=0", "size", "greater than or equal to 1, not 0"),
        ("name=../up", "name", "not '../up'"),
        ("size.deep=3", "set", "'size' of 'size.deep' is one value"),
        ("size", "set", "must be key=value, not 'size'"),
        (".=3", "set", "must be key=value"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(
    override: str, field: str, words: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_recipe("shakespeare-char", [override])
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_recipe_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="Did you mean shakespeare-char"):
        read_recipe("shakespear-char")
    with pytest.raises(InvalidRequestError, match=r"cannot be read|no file"):
        read_recipe(str(tmp_path))


@pytest.mark.parametrize("text", ["", "- a", "{", "a: b: c", "!!python/object:os.system {}", "\0"])
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidRequestError, match=r"r\.yaml"):
        read_recipe(str(tmp_path / "r.yaml"))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.dictionaries(st.sampled_from([*Recipe.model_fields, "x"]), inner),
)


@given(st.dictionaries(st.sampled_from([*Recipe.model_fields, "y"]), JSON))
def test_any_values_make_a_recipe_or_a_named_error(value: dict[str, object]) -> None:
    try:
        checked_recipe(value)
        return
    except InvalidRequestError as caught:
        error = caught
    assert error.field


def test_the_digest_is_of_the_values_and_not_of_where_the_data_lies() -> None:
    plain = read_recipe("shakespeare-char")
    assert read_recipe("shakespeare-char", ["data.path=elsewhere"]).digest == plain.digest
    assert read_recipe("shakespeare-char", ["seed=1"]).digest == plain.digest
    assert read_recipe("shakespeare-char", ["seed=2"]).digest != plain.digest
