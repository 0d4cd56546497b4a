from __future__ import annotations

from pathlib import Path

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM

from studiolo.bundle.gguf import GGUFFile
from studiolo.bundle.gguf_names import gguf_checkpoint
from studiolo.bundle.huggingface import write_directory
from studiolo.errors import MalformedFileError, UnsupportedModelError
from tests.bundle.gguf_files import write_gguf
from tests.bundle.gguf_models import MODELS, converted, logits_differ_by, make, reloaded


@pytest.mark.parametrize("name", MODELS)
def test_tensors_and_logits_come_back(tmp_path: Path, name: str) -> None:
    model = make(MODELS[name])
    checkpoint = converted(tmp_path, model)
    state = model.state_dict()
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    assert set(checkpoint.names) == set(state)
    for tensor_name, expected in state.items():
        ours = checkpoint.tensor(tensor_name)
        if "gemma" in name and tensor_name.endswith("norm.weight"):
            torch.testing.assert_close(ours, expected, rtol=0, atol=2e-7)  # (w + 1) - 1
        else:
            assert torch.equal(ours, expected), tensor_name
        assert ours.is_contiguous()
    assert checkpoint.generation == {"eos_token_id": 2}
    assert logits_differ_by(reloaded(tmp_path, checkpoint), model) < 1e-5


def test_quantised_tensors_are_unpermuted_after_dequantising(tmp_path: Path) -> None:
    config = MODELS["llama"] | {"hidden_size": 64, "num_attention_heads": 4}
    model = make(config)
    checkpoint = converted(tmp_path, model, quantize=gguf.GGMLQuantizationType.Q8_0)
    for name in ("q_proj", "k_proj", "v_proj"):
        key = f"model.layers.1.self_attn.{name}.weight"
        expected = model.state_dict()[key]
        assert (checkpoint.tensor(key) - expected).abs().max() < expected.abs().max() / 200


def test_a_mistral_window_is_kept(tmp_path: Path) -> None:
    model = make(MODELS["mistral"] | {"sliding_window": 7})
    checkpoint = converted(tmp_path, model, extra={"attention.sliding_window": 7})
    assert checkpoint.config["model_type"] == "mistral"
    assert logits_differ_by(reloaded(tmp_path, checkpoint), model) < 1e-5


def test_an_unknown_tensor_is_refused(tmp_path: Path) -> None:
    extra = {"blk.0.attn_sinks.weight": torch.zeros(6)}
    with pytest.raises(UnsupportedModelError, match=r"'blk\.0\.attn_sinks\.weight'"):
        converted(tmp_path, make(MODELS["llama"]), extra_tensors=extra)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", make(MODELS["llama"]))
    file = GGUFFile.open(tmp_path / "model.gguf")
    for name in ("blk.2.ffn_up.weight", "token_embd.weight"):
        tensor = file.tensors.pop(name)
        with pytest.raises(MalformedFileError, match=name):
            gguf_checkpoint(file)
        file.tensors[name] = tensor


def test_the_starter_becomes_a_directory_that_transformers_runs(
    starter: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    from studiolo.modality.text.tokenizer import Tokenizer

    file = GGUFFile.open(next(starter.glob("*.gguf")))
    checkpoint = gguf_checkpoint(file)
    tensors = ((name, checkpoint.tensor(name)) for name in checkpoint.names)
    tokenizer = Tokenizer.from_gguf(file.metadata)
    write_directory(tmp_path / "hf", checkpoint.config, tensors, tokenizer, checkpoint.generation)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "hf")
    prompt = theirs("The capital of France is", return_tensors="pt")
    ids = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert "Paris" in theirs.decode(ids[0])
