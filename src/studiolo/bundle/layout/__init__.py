"""Hugging Face's description of a network, and ours: settings, positions, tensors."""

from studiolo.bundle.layout.config import decoder_config, hf_config
from studiolo.bundle.layout.encoder import ENCODERS, encoder_config, load_encoder
from studiolo.bundle.layout.packed import load_packed, load_packed_encoder
from studiolo.bundle.layout.tensors import hf_tensors, load_decoder

__all__ = [
    "ENCODERS",
    "decoder_config",
    "encoder_config",
    "hf_config",
    "hf_tensors",
    "load_decoder",
    "load_encoder",
    "load_packed",
    "load_packed_encoder",
]
