from __future__ import annotations

import json
from pathlib import Path

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.training.workshop import FOLDER, Workshop
from tests.training.small import small_recipe

IDENTITY = {"recipe": "a" * 64, "data": "b" * 64}


def test_a_run_has_its_folder_and_says_whose_it_is(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path / "text.txt")
    shop = Workshop(tmp_path / "out", recipe, IDENTITY, resume=False)
    kept = json.loads((tmp_path / "out" / FOLDER / "run.json").read_text())
    assert kept["identity"] == IDENTITY
    assert kept["recipe"]["name"] == recipe.name
    assert shop.checkpoints.folder.is_dir()


def test_the_same_run_is_gone_on_with_when_asked_to(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path / "text.txt")
    Workshop(tmp_path / "out", recipe, IDENTITY, resume=True)
    Workshop(tmp_path / "out", recipe, IDENTITY, resume=True)
    with pytest.raises(InvalidRequestError, match="holds a run already") as caught:
        Workshop(tmp_path / "out", recipe, IDENTITY, resume=False)
    assert "--resume" in str(caught.value)


@pytest.mark.parametrize("name", ["recipe", "data"])
def test_another_run_is_not(tmp_path: Path, name: str) -> None:
    recipe = small_recipe(tmp_path / "text.txt")
    Workshop(tmp_path / "out", recipe, IDENTITY, resume=False)
    with pytest.raises(InvalidRequestError, match=f"begun with another {name}"):
        Workshop(tmp_path / "out", recipe, {**IDENTITY, name: "c" * 64}, resume=True)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InvalidRequestError, match="not an empty folder"):
        Workshop(tmp_path, small_recipe(tmp_path), IDENTITY, resume=True)
    with pytest.raises(InvalidRequestError, match="not an empty folder"):
        Workshop(tmp_path / "mine.txt", small_recipe(tmp_path), IDENTITY, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_one_killed_at_its_very_beginning_begins_again(tmp_path: Path) -> None:
    (tmp_path / "out" / FOLDER / "checkpoints").mkdir(parents=True)
    (tmp_path / "out" / FOLDER / "run.json.part").write_text("{")
    Workshop(tmp_path / "out", small_recipe(tmp_path), IDENTITY, resume=False)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidRequestError, match="cannot be written"):
        Workshop(tmp_path / "file" / "out", small_recipe(tmp_path), IDENTITY, resume=False)
