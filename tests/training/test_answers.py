from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.answers import Answers
from studiolo.training.examples import example
from studiolo.training.packing import Example
from studiolo.training.size import plan
from studiolo.training.start import read_start
from tests.training.tuned import COMPLETIONS, tuning


def answers(tiny: str, *more: Example) -> Answers:
    tokenizer = Tokenizer.from_directory(Path(tiny))
    examples = [example(value, tokenizer) for value in COMPLETIONS]
    return Answers([*examples, *more], tokenizer, "d" * 64, "CC0-1.0")


def test_the_last_are_held_out_and_what_is_too_long_is_said(tiny: str, tmp_path: Path) -> None:
    long = Example(np.arange(60), np.arange(60) > 30)
    given = answers(tiny, long)
    recipe = tuning(tiny, tmp_path / "x", "answers")
    found = plan(recipe, 0, read_start(tiny).config, given.size)
    parts = given.parts(recipe, found)
    assert "1 of 21 examples are longer than a block of 48 tokens" in parts.remark
    held_out = list(parts.held_out.sweep())
    text = " ".join(given.tokenizer.decode(row.tolist()) for b in held_out for row in b.inputs)
    assert [i for i in range(20) if f"after rain {i} the" in text] == [16, 17, 18, 19]
    counted = sum(batch.weight for batch in held_out)
    assert counted == sum(int(each.counts.sum()) for each in given.examples[16:20])


def test_a_sample_goes_on_from_the_last_question(tiny: str, tmp_path: Path) -> None:
    given = answers(tiny)
    recipe = tuning(tiny, tmp_path / "x", "answers")
    assert given.tokenizer.decode(given.prompt(recipe)) == "after rain 19"


def test_too_few_are_refused(tiny: str, tmp_path: Path) -> None:
    given = answers(tiny)
    few = Answers(given.examples[:3], given.tokenizer, "d" * 64, "unknown")
    recipe = tuning(tiny, tmp_path / "x", "answers")
    found = plan(recipe, 0, read_start(tiny).config, few.size)
    with pytest.raises(InvalidRequestError, match="of 3 examples 3 fit a block of 48"):
        few.parts(recipe, found)
