from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studiolo.training.language import NextToken
from studiolo.training.recipe import DataRecipe
from studiolo.training.size import plan
from studiolo.training.source import read_source
from studiolo.training.text import Text
from tests.training.small import TEXT, small_recipe, text_file


def test_a_text_is_cut_in_blocks_and_its_end_held_out(tmp_path: Path) -> None:
    path = text_file(tmp_path)
    text = Text(read_source(DataRecipe(path=str(path))))
    recipe = small_recipe(path)
    parts = text.parts(recipe, plan(recipe, text.tokenizer.vocab_size))
    assert parts.remark == ""
    held_out = torch.cat([batch.inputs.flatten() for batch in parts.held_out.sweep()])
    spelt = text.tokenizer.decode(held_out.tolist())
    assert TEXT[-len(TEXT) // 10 + 1 :].startswith(spelt)
    assert text.size == len(TEXT)
    assert text.tokenizer.decode(text.prompt(recipe)) == "The"
    assert text.prompt(recipe.model_copy(update={"watch": recipe.watch.model_copy(
        update={"prompt": ""})})) == [0]  # fmt: skip


def test_a_loss_is_told_in_bits_a_byte(tmp_path: Path) -> None:
    path = text_file(tmp_path)
    text, recipe = Text(read_source(DataRecipe(path=str(path)))), small_recipe(path)
    parts = text.parts(recipe, plan(recipe, text.tokenizer.vocab_size))
    told = text.quality(parts, {"loss": 0.6931471805599453})
    assert told["validation_bits_per_byte"] == pytest.approx(1.0)  # a byte for each character
    assert NextToken.__name__ == type(text.learner(None, recipe)).__name__  # type: ignore[arg-type]
