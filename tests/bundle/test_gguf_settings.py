from __future__ import annotations

import pytest
import torch

from studiolo.bundle.gguf_settings import gguf_settings, rope_tensors
from studiolo.bundle.layout import decoder_config
from studiolo.errors import UnsupportedModelError
from studiolo.nn.config import DecoderConfig
from tests.bundle.gguf_files import llama3_factors
from tests.reference import MODELS, make

CANNOT = {
    "llama-dynamic": "'dynamic'",
    "llama-longrope": "'longrope'",
    "llama-yarn-mscale": "rope",
    "mistral": "layers|window",
    "smollm3-sliding": "layers|window",
    "qwen2-sliding": "layers|window",
    "gemma3": "attention_scale|layers",
    "gemma3-linear": "attention_scale|layers",
}


def of(name: str) -> DecoderConfig:
    return decoder_config(make(name).config.to_dict())


@pytest.mark.parametrize("name", sorted(MODELS.keys() - CANNOT))
def test_what_can_be_said_is(name: str) -> None:
    config = of(name)
    said = gguf_settings(config)
    architecture = said["general.architecture"]
    assert said[f"{architecture}.block_count"] == len(config.layers)
    assert said[f"{architecture}.embedding_length"] == config.width


@pytest.mark.parametrize("name", sorted(CANNOT))
def test_what_llama_cpp_would_compute_otherwise_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedModelError, match=CANNOT[name]):
        gguf_settings(of(name))


def test_each_constant_that_no_key_says_is_watched() -> None:
    qwen3, llama = of("qwen3"), of("llama")
    for config, changes, field in (
        (qwen3, {"out_bias": True}, "out_bias"),
        (llama, {"activation": "relu"}, "activation"),
        (of("gpt2"), {"attention_scale": 1.0}, "attention_scale"),
        (of("smollm3"), {"layers": llama.layers}, "layers"),
    ):
        with pytest.raises(UnsupportedModelError, match=f"with {field} ="):
            gguf_settings(config.model_copy(update=changes))


def test_llama_3s_divisors_are_those_of_the_network() -> None:
    config = of("llama-llama3")
    assert config.rope is not None
    found = rope_tensors(config)["rope_freqs.weight"]
    theirs = llama3_factors(
        config.head_size,
        config.rope.base,
        config.rope.factor,
        config.rope.original_context or 0,
    )
    assert torch.allclose(found, theirs)
    assert rope_tensors(of("llama")) == {}
