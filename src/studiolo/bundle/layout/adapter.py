"""Where the modules that an adapter may change stand in our decoder.

Hugging Face has a module for each part that we fuse; GPT-2's file has one for three of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from studiolo.bundle.layout.tensors import parts
from studiolo.nn.adapter import Site
from studiolo.nn.config import DecoderConfig


@dataclass(frozen=True)
class Place:
    """One module: its inputs, and the outputs of each of our parts in it, in order."""

    inputs: int
    outputs: Mapping[Site, int]


def places(config: DecoderConfig) -> dict[str, Place]:
    """Every module that an adapter may change, by its Hugging Face name."""
    found: dict[str, Place] = {}
    for part in parts(config):
        name = part.ours.removesuffix(".weight")
        product = config.products.get(name.partition(".")[2].partition(".")[2])
        if product is None or name == part.ours:  # no matrix of a block, or its bias
            continue
        inputs, sizes = product
        modules = [theirs.removesuffix(".weight") for theirs in part.theirs]
        sites = {(name, i): size for i, size in enumerate(sizes)}
        if len(modules) == 1:
            found[modules[0]] = Place(inputs, sites)
            continue
        for module, (site, size) in zip(modules, sites.items(), strict=True):
            found[module] = Place(inputs, {site: size})
    return found
