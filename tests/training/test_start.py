from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from studiolo.errors import StudioloError
from studiolo.training.start import read_start


@torch.no_grad()
def test_the_parent_is_read_whole(tiny: str) -> None:
    start = read_start(tiny)
    assert start.name == "tiny"
    assert start.licence == "unknown"
    assert len(start.digest) == 64
    assert start.tokenizer.vocab_size == start.config.vocabulary
    ids = torch.arange(20)[None]
    decoder = start.decoder(torch.device("cpu"))
    other = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    torch.testing.assert_close(
        decoder.logits(decoder(ids)), other(ids).logits, rtol=1e-4, atol=1e-4
    )


def test_what_is_not_there_or_no_language_model_is_refused(
    tmp_path: Path, home: Path, tiny_encoder: str
) -> None:
    for model in (str(tmp_path / "none"), "no-such-model", tiny_encoder):
        with pytest.raises(StudioloError):
            read_start(model)
