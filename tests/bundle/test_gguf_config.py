from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from studiolo.bundle.gguf import GGUFFile
from studiolo.bundle.gguf_names import gguf_checkpoint
from studiolo.errors import MalformedFileError, UnsupportedModelError
from tests.bundle.gguf_files import llama3_factors, write_gguf
from tests.bundle.gguf_models import MODELS, converted, logits_differ_by, make, reloaded

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
SCALINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "linear": (
        {"rope_type": "linear", "factor": 4.0},
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    ),
    "linear, as in 2023": ({"rope_type": "linear", "factor": 2.5}, {"rope.scale_linear": 2.5}),
    "yarn": (
        YARN,
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 16,
        },
    ),
    "yarn with all its knobs": (
        YARN | {"beta_fast": 20.0, "beta_slow": 2.0},
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 16,
            "rope.scaling.yarn_beta_fast": 20.0,
            "rope.scaling.yarn_beta_slow": 2.0,
            "rope.scaling.yarn_attn_factor": 1.0,
            "rope.scaling.yarn_ext_factor": 1.0,
        },
    ),
}


@pytest.mark.parametrize("name", SCALINGS)
def test_rope_scalings(tmp_path: Path, name: str) -> None:
    theirs, metadata = SCALINGS[name]
    model = make(MODELS["qwen2"] | {"rope_scaling": theirs})
    checkpoint = converted(tmp_path, model, extra=metadata)
    assert logits_differ_by(reloaded(tmp_path, checkpoint), model) < 1e-5


def test_the_global_layers_alone_of_gemma_are_scaled(tmp_path: Path) -> None:
    model = make(MODELS["gemma3"] | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}})
    extra = {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    checkpoint = converted(tmp_path, model, extra=extra)
    assert logits_differ_by(reloaded(tmp_path, checkpoint), model) < 1e-5


@pytest.mark.parametrize("original", [8192, 16])
def test_llama3_factors_are_recognised_or_kept_exactly(tmp_path: Path, original: int) -> None:
    """With any other context than 8192 the same arithmetic is spelt as LongRoPE."""
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": original,
    }
    changes = {"rope_scaling": scaling, "head_dim": 32, "rope_theta": 500_000.0}
    model = make(MODELS["llama"] | changes)
    factors = llama3_factors(32, 500_000.0, 8.0, original)
    checkpoint = converted(tmp_path, model, extra_tensors={"rope_freqs.weight": factors})
    found = checkpoint.config["rope_scaling"]
    assert isinstance(found, dict)
    assert found["rope_type"] == ("llama3" if original == 8192 else "longrope")
    assert logits_differ_by(reloaded(tmp_path, checkpoint), model, 60) < 1e-5


def test_frequency_factors_of_one_are_no_scaling(tmp_path: Path) -> None:
    model = make(MODELS["llama"])
    checkpoint = converted(tmp_path, model, extra_tensors={"rope_freqs.weight": torch.ones(4)})
    assert checkpoint.config["rope_scaling"] is None


def test_longrope(tmp_path: Path) -> None:
    short, long = torch.tensor([1.0, 1.1, 1.2, 1.3]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    scaling = {
        "rope_type": "longrope",
        "short_factor": short.tolist(),
        "long_factor": long.tolist(),
        "attention_factor": 1.25,
        "original_max_position_embeddings": 16,
    }
    model = make(MODELS["llama"] | {"rope_scaling": scaling})
    checkpoint = converted(
        tmp_path,
        model,
        extra={"rope.scaling.original_context_length": 16, "rope.scaling.attn_factor": 1.25},
        extra_tensors={"rope_factors_short.weight": short, "rope_factors_long.weight": long},
    )
    ours = reloaded(tmp_path, checkpoint)
    assert logits_differ_by(ours, model, 12) < 1e-5
    assert logits_differ_by(ours, model, 40) < 1e-5


@pytest.mark.parametrize("pattern", [3, [True, False, True, True, False, True, False]])
def test_a_window_pattern_in_the_file_is_followed(tmp_path: Path, pattern: Any) -> None:
    checkpoint = converted(
        tmp_path, make(MODELS["gemma3"]), extra={"attention.sliding_window_pattern": pattern}
    )
    sliding = [kind == "sliding_attention" for kind in checkpoint.config["layer_types"]]  # type: ignore[attr-defined]
    assert sliding == (pattern if isinstance(pattern, list) else [True, True, False] * 2 + [True])


def test_gemma_without_a_window_is_global_throughout(tmp_path: Path) -> None:
    extra = {"attention.sliding_window": None}
    checkpoint = converted(tmp_path, make(MODELS["gemma3"]), extra=extra)
    assert checkpoint.config["layer_types"] == ["full_attention"] * 7


def test_special_tokens_and_recommended_sampling(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", make(MODELS["llama"]))
    file = GGUFFile.open(tmp_path / "model.gguf")
    file.metadata |= {
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.padding_token_id": 0xFFFFFFFF,
        "tokenizer.ggml.eot_token_id": 5,
        "general.sampling.temp": float(np.float32(0.6)),
        "general.sampling.top_k": 20,
    }
    checkpoint = gguf_checkpoint(file)
    assert checkpoint.generation == {
        "bos_token_id": 1,
        "eos_token_id": [2, 5],
        "temperature": 0.6,
        "top_k": 20,
        "do_sample": True,
    }
    assert checkpoint.config["pad_token_id"] is None
    with pytest.raises(KeyError, match="nothing"):
        checkpoint.tensor("nothing")


UNSUPPORTED: dict[str, tuple[str, object]] = {
    "experts": ("llama.expert_count", 8),
    "unknown key": ("llama.logit_scale", 0.5),
    "partial rotation": ("llama.rope.dimension_count", 4),
    "values narrower than keys": ("llama.attention.value_length", 4),
    "heads by layer": ("llama.attention.head_count", np.array([6, 6, 4], np.int32)),
    "dynamic scaling": ("llama.rope.scaling.type", "dynamic"),
    "attention factor": ("llama.rope.scaling.attn_factor", 2.0),
    "uneven groups": ("llama.attention.head_count_kv", 4),
    "odd heads": ("llama.attention.key_length", 7),
    "architecture": ("general.architecture", "mamba"),
    "one of several parts": ("split.count", 3),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_would_be_computed_wrongly_is_refused(tmp_path: Path, case: str) -> None:
    write_gguf(tmp_path / "model.gguf", make(MODELS["llama"]))
    file = GGUFFile.open(tmp_path / "model.gguf")
    key, file.metadata[key] = UNSUPPORTED[case]
    with pytest.raises(UnsupportedModelError, match=r"is not supported|one of 3 parts"):
        gguf_checkpoint(file)


MALFORMED: dict[str, tuple[str, object, str]] = {
    "no width": ("llama.embedding_length", None, "'llama.embedding_length' is missing"),
    "width as text": ("llama.embedding_length", "48", "expected an integer"),
    "width as truth value": ("llama.embedding_length", True, "expected an integer"),
    "no blocks": ("llama.block_count", 0, "expected 1 to"),
    "giant blocks": ("llama.block_count", 2**30, "1,073,741,824 blocks are claimed"),
    "giant width": ("llama.embedding_length", 2**40, "expected 1 to"),
    "another width": ("llama.embedding_length", 54, r"calls for \[97, 54\]"),
    "another head count": ("llama.attention.head_count", 2, "the metadata calls for"),
    "epsilon of nothing": ("llama.attention.layer_norm_rms_epsilon", float("nan"), "finite number"),
    "infinite base": ("llama.rope.freq_base", float("inf"), "finite number above zero"),
    "base as text": ("llama.rope.freq_base", "big", "expected a number"),
    "architecture as number": ("general.architecture", 3, "expected text"),
    "more tokens than rows": ("tokenizer.ggml.tokens", ["x"] * 98, "98 tokens"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_metadata_that_cannot_be(tmp_path: Path, case: str) -> None:
    write_gguf(tmp_path / "model.gguf", make(MODELS["llama"]))
    file = GGUFFile.open(tmp_path / "model.gguf")
    key, value, message = MALFORMED[case]
    file.metadata[key] = value
    if value is None:
        del file.metadata[key]
    with pytest.raises(MalformedFileError, match=message):
        gguf_checkpoint(file)


@pytest.mark.parametrize("factors", [torch.ones(5), torch.tensor([1.0, 1.0, 0.0, 1.0])])
def test_impossible_frequency_factors(tmp_path: Path, factors: torch.Tensor) -> None:
    with pytest.raises(MalformedFileError, match=r"'rope_freqs\.weight'"):
        converted(tmp_path, make(MODELS["llama"]), extra_tensors={"rope_freqs.weight": factors})
