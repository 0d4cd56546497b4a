"""What we save, ``transformers`` loads, with the same logits; and what is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.bundle.huggingface import read_directory, write_directory
from studiolo.bundle.layout import hf_config, hf_tensors, load_decoder
from studiolo.errors import MalformedFileError
from tests import reference

IDS = torch.randint(3, 97, (2, 40), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", reference.MODELS)
def test_saved_here_and_loaded_there(name: str, tmp_path: Path) -> None:
    decoder = load_decoder(reference.checkpoint(reference.make(name)))
    saved = tmp_path / "saved"
    write_directory(saved, hf_config(decoder.config), hf_tensors(decoder))
    model, notes = AutoModelForCausalLM.from_pretrained(
        saved, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    assert not notes["missing_keys"]
    assert not notes["unexpected_keys"]
    with torch.no_grad():
        expected = model.eval()(IDS).logits
        assert (decoder.logits(decoder(IDS)) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", reference.MODELS)
def test_saved_there_and_loaded_here(name: str, tmp_path: Path) -> None:
    model = reference.make(name)
    model.save_pretrained(tmp_path)
    decoder = load_decoder(read_directory(tmp_path))
    with torch.no_grad():
        assert (decoder.logits(decoder(IDS)) - model(IDS).logits).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["gpt2", "smollm2", "gemma3"])
def test_a_round_trip_changes_no_bit(name: str) -> None:
    source = reference.checkpoint(reference.make(name))
    decoder = load_decoder(source)
    back = dict(hf_tensors(decoder))
    assert set(back) == set(source.names)
    for key, tensor in back.items():
        exact = name != "gemma3" or "norm" not in key  # 1 + w - 1 rounds
        assert torch.allclose(tensor, source.tensor(key), atol=0 if exact else 1e-6, rtol=0)


def changed(source: Checkpoint, **config: Any) -> Checkpoint:
    new = {**source.config, **config}
    return Checkpoint(source.path, new, {}, source.names, source.read)


def test_a_missing_tensor_is_named() -> None:
    source = reference.checkpoint(reference.make("llama"))
    names = tuple(n for n in source.names if "layers.2.mlp.down" not in n)
    with pytest.raises(MalformedFileError, match=r"model\.layers\.2\.mlp\.down_proj\.weight"):
        load_decoder(Checkpoint(source.path, source.config, {}, names, source.read))


def test_a_tensor_of_another_shape_is_named() -> None:
    source = reference.checkpoint(reference.make("llama"))
    with pytest.raises(MalformedFileError, match=r"embed_tokens.*\[97, 48\].*\[98, 48\]"):
        load_decoder(changed(source, vocab_size=98))


def test_integer_weights_are_refused() -> None:
    source = reference.checkpoint(reference.make("llama"))

    def read(name: str) -> torch.Tensor:
        return source.read(name).to(torch.int8)

    with pytest.raises(MalformedFileError, match="int8"):
        load_decoder(Checkpoint(source.path, source.config, {}, source.names, read))
