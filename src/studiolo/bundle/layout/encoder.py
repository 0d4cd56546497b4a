"""Hugging Face's encoders and ours: the settings of BERT, RoBERTa and DistilBERT, their tensors.

What a file holds beyond the hidden states (a pooler, the head of a masked language model)
is not read. A setting that our encoder does not have is an error, never ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.bundle.layout.config import activation, reason
from studiolo.bundle.layout.tensors import Part, fill
from studiolo.bundle.sentence_transformers import SentenceSettings
from studiolo.errors import MalformedFileError, UnsupportedModelError
from studiolo.nn.config import EncoderConfig
from studiolo.nn.encoder import Encoder

ENCODERS = ("bert", "roberta", "xlm-roberta", "distilbert")


def encoder_config(hf: Mapping[str, Any], sentence: SentenceSettings) -> EncoderConfig:
    """Translate the content of a ``config.json``, and how a text becomes one vector.

    Raises :class:`UnsupportedModelError` for another architecture or a feature we lack, and
    :class:`MalformedFileError` for a missing or impossible value.
    """
    kind = hf.get("model_type")
    if not isinstance(kind, str) or kind not in ENCODERS:
        raise UnsupportedModelError(
            f"{kind!r} is not supported as an encoder", remedy=f"Supported: {', '.join(ENCODERS)}."
        )
    for feature in ("is_decoder", "add_cross_attention"):
        if hf.get(feature):
            raise UnsupportedModelError(f"{kind} with {feature} is not supported")
    if hf.get("position_embedding_type", "absolute") != "absolute":
        raise UnsupportedModelError(
            f"{kind} with positions {hf['position_embedding_type']!r} is not supported"
        )
    try:
        network = _distilbert(hf) if kind == "distilbert" else _bert(kind, hf)
        if sentence.width not in (None, network["width"]):
            raise ValueError(
                f"width {network['width']}, but vectors of {sentence.width} are said to be pooled"
            )
        places = network["positions"] - network.get("first_position", 0)
        return EncoderConfig(
            **network,
            architecture=kind,
            vocabulary=hf["vocab_size"],
            pooling=sentence.pooling,
            normalise=sentence.normalise,
            max_tokens=sentence.max_tokens or min(places, sentence.tokenizer_tokens or places),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedFileError(f"config.json: {reason(error)}") from error


def _bert(kind: str, hf: Mapping[str, Any]) -> dict[str, Any]:
    # RoBERTa counts positions from the row after its padding token's.
    first = 0 if kind == "bert" else hf.get("pad_token_id", 1) + 1
    return {
        "width": hf["hidden_size"],
        "heads": hf["num_attention_heads"],
        "mlp_width": hf["intermediate_size"],
        "positions": hf.get("max_position_embeddings", 512),
        "first_position": first,
        "segments": hf.get("type_vocab_size", 2),
        "layers": hf["num_hidden_layers"],
        "norm_eps": hf.get("layer_norm_eps", 1e-12),
        "activation": activation(hf.get("hidden_act", "gelu")),
    }


def _distilbert(hf: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "width": hf["dim"],
        "heads": hf["n_heads"],
        "mlp_width": hf["hidden_dim"],
        "positions": hf.get("max_position_embeddings", 512),
        "segments": 0,
        "layers": hf["n_layers"],
        "activation": activation(hf.get("activation", "gelu")),
    }


def encoder_parts(config: EncoderConfig) -> Iterator[Part]:
    """Every parameter of the encoder, with where it stands in a Hugging Face file."""
    distil = config.architecture == "distilbert"
    root = {"bert": "bert", "distilbert": "distilbert"}.get(config.architecture, "roberta")
    there = f"{root}.embeddings"
    yield Part("embed.weight", (f"{there}.word_embeddings.weight",))
    yield Part("positions.weight", (f"{there}.position_embeddings.weight",))
    if config.segments:
        yield Part("segments.weight", (f"{there}.token_type_embeddings.weight",))
    yield from _biased("norm", f"{there}.LayerNorm", transposed=False)
    if distil:
        stack, qkv = "transformer", tuple(f"attention.{n}_lin" for n in "qkv")
        matrices = {"attention.out": "attention.out_lin", "mlp.up": "ffn.lin1"}
        matrices |= {"mlp.down": "ffn.lin2"}
        norms = {"attention_norm": "sa_layer_norm", "mlp_norm": "output_layer_norm"}
    else:
        stack, qkv = "encoder", tuple(f"attention.self.{n}" for n in ("query", "key", "value"))
        matrices = {"attention.out": "attention.output.dense", "mlp.up": "intermediate.dense"}
        matrices |= {"mlp.down": "output.dense"}
        norms = {"attention_norm": "attention.output.LayerNorm", "mlp_norm": "output.LayerNorm"}
    for i in range(config.layers):
        here, there = f"blocks.{i}", f"{root}.{stack}.layer.{i}"
        fused = tuple(f"{there}.{name}" for name in qkv)
        yield from _biased(f"{here}.attention.qkv", *fused, transposed=True)
        for ours, theirs in matrices.items():
            yield from _biased(f"{here}.{ours}", f"{there}.{theirs}", transposed=True)
        for ours, theirs in norms.items():
            yield from _biased(f"{here}.{ours}", f"{there}.{theirs}", transposed=False)


def _biased(ours: str, *theirs: str, transposed: bool) -> Iterator[Part]:
    yield Part(f"{ours}.weight", tuple(f"{name}.weight" for name in theirs), transposed)
    yield Part(f"{ours}.bias", tuple(f"{name}.bias" for name in theirs))


def load_encoder(
    checkpoint: Checkpoint,
    sentence: SentenceSettings,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Encoder:
    """Build the encoder of a checkpoint, one tensor at a time; norms stay float32.

    Raises :class:`MalformedFileError` when a tensor is missing or has another shape.
    """
    config = encoder_config(checkpoint.config, sentence)
    with torch.device("meta"):
        encoder = Encoder(config)
    fill(encoder, encoder_parts(config), checkpoint, dtype, device)
    return encoder.eval().requires_grad_(False)
