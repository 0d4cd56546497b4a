"""An encoder's ``config.json`` and tensors are translated, or refused by name."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForMaskedLM

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.bundle.huggingface import read_directory
from studiolo.bundle.layout import encoder_config, load_encoder
from studiolo.bundle.sentence_transformers import SentenceSettings
from studiolo.errors import MalformedFileError, StudioloError, UnsupportedModelError
from studiolo.nn.config import EncoderConfig
from tests.encoders import ENCODERS, encoder_checkpoint, make_encoder

PLAIN = SentenceSettings()
BERT = ENCODERS["bert"]


@pytest.mark.parametrize("name", ENCODERS)
def test_where_a_config_is_silent_it_means_what_transformers_takes_it_to_mean(name: str) -> None:
    sizes = {"vocab_size", "dim", "hidden_dim", "n_layers", "n_heads", *ENCODERS["bert"]}
    told = {
        key: value
        for key, value in ENCODERS[name].items()
        if key in sizes - {"max_position_embeddings", "model_type"}
    }
    kind = ENCODERS[name]["model_type"]
    theirs = AutoConfig.for_model(kind, **told).to_dict()
    assert encoder_config({"model_type": kind, **told}, PLAIN) == encoder_config(theirs, PLAIN)


def test_the_longest_input_is_what_the_use_sets_else_the_tokenizer_else_the_positions() -> None:
    def longest(kind: str = "bert", **said: int) -> int:
        return encoder_config(ENCODERS[kind], SentenceSettings(**said)).max_tokens  # type: ignore[arg-type]

    assert longest() == 40
    assert longest("roberta") == 38  # its positions begin at the third row
    assert longest(tokenizer_tokens=30) == 30
    assert longest(tokenizer_tokens=10**9) == 40
    assert longest(tokenizer_tokens=30, max_tokens=35) == 35


@pytest.mark.parametrize("name", ["bert", "roberta", "xlm-roberta", "distilbert"])
def test_the_encoder_inside_a_masked_language_model_is_found(name: str, tmp_path: Path) -> None:
    config = dict(ENCODERS[name])
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(
        AutoConfig.for_model(config.pop("model_type"), **config)
    ).eval()
    model.save_pretrained(tmp_path)
    encoder = load_encoder(read_directory(tmp_path), PLAIN)
    ids = list(range(3, 20))
    with torch.no_grad():
        expected = model.base_model(torch.tensor([ids])).last_hidden_state[0]
        assert (encoder.read([ids])[0] - expected).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model_type": "mpnet"}, UnsupportedModelError, "'mpnet' is not supported"),
        ({"model_type": ["bert"]}, UnsupportedModelError, "not supported"),
        ({"is_decoder": True}, UnsupportedModelError, "is_decoder"),
        ({"add_cross_attention": True}, UnsupportedModelError, "add_cross_attention"),
        ({"position_embedding_type": "relative_key"}, UnsupportedModelError, "'relative_key'"),
        ({"hidden_act": "swiglu"}, UnsupportedModelError, "'swiglu'"),
        ({"num_attention_heads": 5}, MalformedFileError, r"width \(48\).*heads \(5\)"),
        ({"num_hidden_layers": 10**9}, MalformedFileError, "layers"),
        ({"vocab_size": "many"}, MalformedFileError, "vocabulary"),
        ({"layer_norm_eps": float("nan")}, MalformedFileError, "norm_eps"),
        ({"max_position_embeddings": 0}, MalformedFileError, "positions"),
        ({"model_type": "roberta", "pad_token_id": None}, MalformedFileError, r"config\.json"),
    ],
)
def test_what_cannot_be_is_named(
    change: dict[str, Any], error: type[StudioloError], message: str
) -> None:
    with pytest.raises(error, match=message):
        encoder_config({**BERT, **change}, PLAIN)


def test_settings_that_contradict_the_network_are_named() -> None:
    with pytest.raises(MalformedFileError, match=r"width 48, but vectors of 64"):
        encoder_config(BERT, SentenceSettings(width=64))
    with pytest.raises(MalformedFileError, match=r"max_tokens \(41\).*40 positions"):
        encoder_config(BERT, SentenceSettings(max_tokens=41))
    with pytest.raises(MalformedFileError, match="'hidden_size' is missing"):
        encoder_config({k: v for k, v in BERT.items() if k != "hidden_size"}, PLAIN)


def test_missing_and_misshapen_tensors_are_named() -> None:
    source = encoder_checkpoint(make_encoder("bert"))
    names = tuple(n for n in source.names if "layer.1.intermediate" not in n)
    with pytest.raises(MalformedFileError, match=r"layer\.1\.intermediate\.dense\.weight"):
        load_encoder(Checkpoint(source.path, source.config, {}, names, source.read), PLAIN)
    wider = {**source.config, "vocab_size": 98}
    with pytest.raises(MalformedFileError, match=r"word_embeddings.*\[97, 48\].*\[98, 48\]"):
        load_encoder(Checkpoint(source.path, wider, {}, source.names, source.read), PLAIN)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(list(ENCODERS)),
    changes=st.dictionaries(
        st.sampled_from(
            [*BERT, *ENCODERS["distilbert"], "pad_token_id", "position_embedding_type"]
        ),
        JSON,
        max_size=3,
    ),
)
def test_no_config_raises_anything_but_a_named_error(name: str, changes: dict[str, Any]) -> None:
    with contextlib.suppress(StudioloError):
        made = encoder_config({**ENCODERS[name], **changes}, PLAIN)
        assert isinstance(made, EncoderConfig)
        assert made.parameters > 0
