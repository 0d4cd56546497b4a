"""Every product of a block can be changed under the names of Hugging Face, and nothing else."""

from __future__ import annotations

import pytest

from studiolo.bundle.layout import decoder_config
from studiolo.bundle.layout.adapter import places
from tests import reference
from tests.adapters import TARGETS, modules


@pytest.mark.parametrize("name", ["gpt2", "llama-biased-untied", "qwen3", "smollm3", "gemma3"])
def test_every_product_of_a_block_has_its_place_and_its_size(name: str) -> None:
    model = reference.make(name)
    config = decoder_config(model.config.to_dict())
    found = places(config)
    theirs = {
        module: (inputs, outputs)
        for module, inputs, outputs in modules(model, *TARGETS.get(name, TARGETS["llama"]))
    }
    ours = {n: (place.inputs, sum(place.outputs.values())) for n, place in found.items()}
    assert ours == theirs
    sites = [site for place in found.values() for site in place.outputs]
    parts = {ours: len(sizes) for ours, (_, sizes) in config.products.items()}
    assert sorted(sites) == sorted(
        (f"blocks.{i}.{product}", part)
        for i in range(len(config.layers))
        for product, count in parts.items()
        for part in range(count)
    )


def test_gpt2_has_queries_keys_and_values_in_one() -> None:
    found = places(decoder_config(reference.make("gpt2").config.to_dict()))
    place = found["transformer.h.2.attn.c_attn"]
    assert place.outputs == {("blocks.2.attention.qkv", i): 48 for i in range(3)}
    assert place.inputs == 48
