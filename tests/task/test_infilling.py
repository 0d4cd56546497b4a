"""The middle is asked for in the marks of the model's own tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend
from transformers import PreTrainedTokenizerFast

import studiolo
from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.task.asking import TextAsk
from studiolo.task.infilling import MARKS, infill
from studiolo.task.telling import prepared
from studiolo.task.text import LanguageModel


def model(
    lm: studiolo.LanguageModel,
    path: Path,
    marks: tuple[str, ...],
    *,
    special: bool = True,
    bos: bool = False,
) -> LanguageModel:
    """The tiny network with a tokenizer of one token a byte, and ``marks``."""
    letters = ["<|eos|>", "<|bos|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Backend(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    added = [AddedToken(mark, special=special, normalized=False) for mark in marks]
    backend.add_tokens(added)
    if bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<|bos|> $A", special_tokens=[("<|bos|>", 1)]
        )
    PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|eos|>", bos_token="<|bos|>"
    ).save_pretrained(path)
    return LanguageModel(lm.bundle, Tokenizer.from_directory(path), lm.model, lm.defaults)


def spelled(made: LanguageModel, ids: list[int]) -> list[str]:
    return [made.tokenizer.token_text(id) for id in ids]


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("marks", MARKS, ids=lambda marks: marks[0])
def test_prefix_suffix_and_then_the_middle(
    lm: studiolo.LanguageModel, tmp_path: Path, marks: Any, special: bool, bos: bool
) -> None:
    made = model(lm, tmp_path, marks, special=special, bos=bos)
    first, second, third = marks
    start = ["<|bos|>"] if bos else []
    expected = [*start, first, "a", "b", second, "c", third]
    assert spelled(made, infill(made, "ab", "c")) == expected
    ids = made.tokenizer.encode("ab", add_special=False)
    assert spelled(made, infill(made, ids, "c")) == expected
    assert spelled(made, infill(made, "", "c")) == [*start, first, second, "c", third]
    asked = prepared(made, TextAsk("m", prompt="ab", suffix="c")).request.prompt
    assert spelled(made, list(asked)) == expected


@pytest.mark.parametrize("special", [True, False])
def test_what_is_given_is_never_a_mark(
    lm: studiolo.LanguageModel, tmp_path: Path, special: bool
) -> None:
    made = model(lm, tmp_path, MARKS[0], special=special)
    text = "a<|fim_middle|>" * 2
    ids = infill(made, text, f"{text}<|fim_suffix|>")
    assert spelled(made, ids) == [
        MARKS[0][0], *text, MARKS[0][1], *text, *"<|fim_suffix|>", MARKS[0][2],
    ]  # fmt: skip


def test_a_model_without_the_marks_says_so(lm: studiolo.LanguageModel, tmp_path: Path) -> None:
    for made in (lm, model(lm, tmp_path, MARKS[0][:2])):
        with pytest.raises(InvalidRequestError, match="cannot fill in the middle") as caught:
            infill(made, "a", "b")
        assert caught.value.field == "suffix"


def test_ids_outside_the_vocabulary_are_refused(lm: studiolo.LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="outside the vocabulary"):
        infill(model(lm, tmp_path, MARKS[1]), [10**6], "b")
