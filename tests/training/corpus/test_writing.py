from __future__ import annotations

import json
from pathlib import Path

import pytest

from studiolo.training.corpus.document import Document
from studiolo.training.corpus.recipe import SourceRecipe
from studiolo.training.corpus.shards import TRAINING, VALIDATION
from studiolo.training.corpus.stage import Stage
from studiolo.training.corpus.vocabulary import train_tokenizer
from studiolo.training.corpus.writing import CAPTIONS, Writer, dealt
from tests.training.corpus.small import recipe

TOKENIZER = train_tokenizer(["a b c"], 300)


def staged(folder: Path, count: int, *, image: str = "") -> Stage:
    stage = Stage(folder / "0.jsonl")
    with stage:
        for number in range(count):
            stage.add(Document(f"document {number}", "s", str(number), "MIT", image))
    return stage


SOURCE = {"name": "s", "path": "x", "validation": 0.2, "weight": 2}
RECIPE = recipe(SOURCE)


@pytest.mark.parametrize(("weight", "times"), [(1, 1), (2, 2), (0.5, 0.5), (2.5, 2.5)])
def test_documents_are_taken_by_weight_and_held_out_once(
    tmp_path: Path, weight: float, times: float
) -> None:
    source = SourceRecipe.model_validate(SOURCE | {"weight": weight})
    taken = list(dealt(source, staged(tmp_path, 2000), 1))
    held_out = [d.identity for d, part, _ in taken if part == VALIDATION]
    training = [d.identity for d, part, _ in taken if part == TRAINING]
    assert len(set(held_out)) == len(held_out)
    assert not set(held_out) & set(training)
    # Binomial: four standard deviations.
    assert abs(len(held_out) - 400) < 4 * 18
    assert abs(len(training) - times * (2000 - len(held_out))) < 4 * 20
    counts = {training.count(identity) for identity in set(training)}
    assert counts <= {int(times), int(times) + 1} - {0}
    assert sum(again for _, _, again in taken) == len(training) - len(set(training))


def test_what_is_written_is_told(tmp_path: Path) -> None:
    [source] = RECIPE.sources
    seen: list[int] = []
    with Writer(tmp_path, TOKENIZER, RECIPE) as made:
        told = made.write(source, staged(tmp_path, 50), seen.append)
        files = made.close()
    assert set(files) == {"train.bin", "train.idx", "validation.bin", "validation.idx"}
    assert told.training.documents + 2 * told.validation.documents == 100
    assert files["train.bin"].size == 2 * told.training.tokens
    assert files["validation.idx"].size == 8 * told.validation.documents
    assert sum(seen) == told.training.bytes + told.validation.bytes
    assert sum(told.histogram()) == 50
    assert made.end is not None
    data = (tmp_path / "train.bin").read_bytes()
    assert data[-2:] == made.end.to_bytes(2, "little")


def test_captions_are_listed_with_their_pictures(tmp_path: Path) -> None:
    source = SourceRecipe.model_validate(SOURCE | {"validation": 0})
    with Writer(tmp_path, TOKENIZER, RECIPE) as made:
        made.write(source, staged(tmp_path, 2, image="cat.png"), lambda size: None)
        assert CAPTIONS in made.close()
    lines = [json.loads(line) for line in (tmp_path / CAPTIONS).read_text().splitlines()]
    assert lines == [
        {"source": "s", "image": "cat.png", "text": f"document {n}", "part": TRAINING}
        for n in (0, 1)
    ]
