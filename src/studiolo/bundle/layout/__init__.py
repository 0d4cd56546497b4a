"""Hugging Face's description of a network, and ours: settings, positions, tensors."""

from studiolo.bundle.layout.config import decoder_config, hf_config
from studiolo.bundle.layout.tensors import hf_tensors, load_decoder

__all__ = ["decoder_config", "hf_config", "hf_tensors", "load_decoder"]
