from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from studiolo.bundle.manifest import hash_file
from studiolo.nn.decoder import Decoder
from studiolo.training.language import NextToken
from studiolo.training.lowrank import low_rank
from studiolo.training.recompute import recompute
from studiolo.training.run import Run
from tests.training.small import small_recipe, text_file
from tests.training.test_language import blocks
from tests.training.test_preference import decoder


def gradients(network: Decoder, adapter: int | None) -> tuple[list[Tensor], int]:
    """Of one batch, and the bytes of all tensors that are kept from forward to backward."""
    parameters = list(network.parameters())
    if adapter is not None:
        parameters = list(low_rank(network, adapter, 1).values())
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    (batch, *_) = blocks([0, 5, 6, 12, 100]).sweep()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = NextToken(network).loss(batch).total
        held = sum(kept.values())
    return list(torch.autograd.grad(loss, parameters)), held


@pytest.mark.parametrize("adapter", [None, 3])
def test_gradients_are_the_same_bits_and_less_is_kept(adapter: int | None) -> None:
    plain, sparing = decoder(), decoder()
    recompute(sparing)
    wanted, kept = gradients(plain, adapter)
    found, less = gradients(sparing, adapter)
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)
    assert less < kept / 2


def test_it_writes_and_is_judged_as_before() -> None:
    plain, sparing = decoder(), decoder()
    recompute(sparing)
    tokens = torch.arange(1, 9)[None]
    with torch.no_grad():
        assert torch.equal(sparing(tokens), plain(tokens))
        cache = sparing.new_cache()
        assert sparing(tokens, caches=[cache]).shape == plain(tokens).shape
    assert cache.length == 8


def test_a_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for again in (False, True):
        recipe = small_recipe(text_file(tmp_path), training={"steps": 6, "recompute": again})
        Run(recipe, tmp_path / str(again)).carry_out(resume=False)
        found.append(hash_file(tmp_path / str(again) / "model.safetensors").sha256)
    assert found[0] == found[1]
