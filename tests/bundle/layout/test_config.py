"""``config.json`` is translated, or refused by name."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig

from studiolo.bundle.layout import decoder_config, hf_config
from studiolo.errors import MalformedFileError, StudioloError, UnsupportedModelError
from studiolo.nn.config import DecoderConfig
from tests import reference

LLAMA = reference.MODELS["llama"]


@pytest.mark.parametrize("name", reference.MODELS)
def test_our_description_survives_a_round_trip(name: str) -> None:
    ours = decoder_config(reference.make(name).config.to_dict())
    assert decoder_config(hf_config(ours)) == ours


def test_the_old_and_the_new_spelling_of_rotary_settings_mean_the_same() -> None:
    scaling = {"rope_type": "linear", "factor": 2.0}
    old = {**LLAMA, "rope_theta": 5000.0, "rope_scaling": scaling}
    new = {**LLAMA, "rope_parameters": {"rope_theta": 5000.0, **scaling}}
    assert decoder_config(old) == decoder_config(new)


@pytest.mark.parametrize(
    "name", ["gpt2", "llama", "mistral", "smollm3", "qwen2", "qwen3", "gemma3"]
)
def test_where_a_config_is_silent_it_means_what_transformers_takes_it_to_mean(name: str) -> None:
    told = {
        key: value
        for key, value in reference.MODELS[name].items()
        if key in {*reference.SIZES, "model_type", "n_embd", "n_layer", "n_head", "n_positions"}
        and key != "max_position_embeddings"
    }
    kind = told.pop("model_type")
    theirs = AutoConfig.for_model(kind, **told).to_dict()
    assert decoder_config({"model_type": kind, **told}) == decoder_config(theirs)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model_type": "mamba"}, UnsupportedModelError, "'mamba' is not supported"),
        ({"model_type": None}, UnsupportedModelError, "None is not supported"),
        ({"hidden_act": "swiglu"}, UnsupportedModelError, "'swiglu'"),
        ({"rope_scaling": {"rope_type": "mrope"}}, UnsupportedModelError, "'mrope'"),
        ({"partial_rotary_factor": 0.5}, UnsupportedModelError, "partial rotary"),
        ({"use_bidirectional_attention": True}, UnsupportedModelError, "bidirectional"),
        ({"num_attention_heads": 0}, MalformedFileError, "config.json"),
        ({"num_attention_heads": 5}, MalformedFileError, r"heads \(5\)"),
        ({"num_hidden_layers": 10**9}, MalformedFileError, "layers"),
        ({"num_hidden_layers": "four"}, MalformedFileError, "'four'"),
        ({"vocab_size": -1}, MalformedFileError, "vocabulary"),
        ({"rms_norm_eps": float("nan")}, MalformedFileError, "norm_eps"),
        ({"rope_scaling": {"rope_type": "longrope"}}, MalformedFileError, "short_factor"),
    ],
)
def test_what_cannot_be_is_named(
    change: dict[str, Any], error: type[StudioloError], message: str
) -> None:
    with pytest.raises(error, match=message):
        decoder_config({**LLAMA, **change})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(MalformedFileError, match="'hidden_size' is missing"):
        decoder_config({k: v for k, v in LLAMA.items() if k != "hidden_size"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(list(reference.MODELS)),
    changes=st.dictionaries(
        st.sampled_from([*LLAMA, "rope_scaling", "rope_parameters", "layer_types", "head_dim"]),
        JSON,
        max_size=3,
    ),
)
def test_no_config_raises_anything_but_a_named_error(name: str, changes: dict[str, Any]) -> None:
    with contextlib.suppress(StudioloError):
        assert isinstance(decoder_config({**reference.MODELS[name], **changes}), DecoderConfig)
