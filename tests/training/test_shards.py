"""A network in pieces, in two real processes, against one process that has it whole."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from studiolo.nn.decoder import Decoder
from studiolo.training.checkpoint import Checkpoints
from studiolo.training.processes import ALONE
from studiolo.training.shards import (
    as_part,
    is_split,
    laid,
    local,
    on_whole,
    settle,
    stacked,
    whole,
    whole_copy,
)
from tests.training import several
from tests.training.conftest import Several
from tests.training.test_language import CPU, config
from tests.training.test_processes import KINDS


def test_what_is_whole_stays_as_it_is() -> None:
    tensor = torch.randn(2, 3)
    assert not is_split(tensor)
    for same in (local(tensor), whole(tensor), laid(tensor, tensor), as_part(tensor, tensor)):
        assert same is tensor
    assert stacked(tensor[None], tensor).shape == (1, 2, 3)
    assert torch.equal(on_whole(torch.neg, tensor[None], tensor)[0], -tensor)


def test_a_copy_is_the_same_network() -> None:
    decoder = Decoder(config())
    copy = whole_copy(decoder, ALONE, CPU)
    assert copy is not None
    tokens = torch.arange(6)[None]
    assert torch.equal(copy(tokens), decoder(tokens))
    assert copy.embed.weight.data_ptr() != decoder.embed.weight.data_ptr()
    settle(decoder)


def test_pieces_that_do_not_come_out_even(two: Several) -> None:
    for told in two.told:
        assert len(told["tensors"]) == 12
        assert [name for name, held in told["tensors"].items() if not held] == []


@pytest.mark.parametrize("kind", KINDS)
def test_two_take_the_steps_of_one(two: Several, kind: str) -> None:
    one, both = two.losses(kind), two.losses(f"{kind}-shards")
    assert len(one) > 6
    assert both == pytest.approx(one, abs=1e-5)
    assert (two.folder / f"{kind}-shards" / "bundle.json").exists()


def test_a_checkpoint_is_of_whole_tensors(two: Several) -> None:
    """Names, shapes and types are those of a run in one process."""
    shapes = []
    for name in ("average", "average-shards"):
        kept = Checkpoints(two.folder / name / "training" / "checkpoints")
        saved = kept.newest()
        assert saved is not None
        shapes.append({n: (t.shape, t.dtype) for n, t in saved.tensors.items()})
    assert shapes[0] == shapes[1]
    assert any(name.startswith("average.") for name in shapes[0])


def test_what_one_began_shards_go_on_with(two: Several) -> None:
    assert two.losses("began-alone-shards") == pytest.approx(two.losses("average"), abs=1e-5)


def test_what_shards_began_copies_go_on_with(two: Several) -> None:
    assert [told["moved-stopped"] for told in two.told] == [7, 7]
    assert two.losses("moved") == pytest.approx(two.losses("average"), abs=1e-5)


def test_what_shards_began_one_goes_on_with(two: Several) -> None:
    assert [told["stopped-shards"] for told in two.told] == [7, 7]
    out = two.folder / "stopped-shards"
    assert several.trained(several.recipes(two.folder, "")["average"], out, resume=True) == 20
    assert two.losses("stopped-shards") == pytest.approx(two.losses("average"), abs=1e-5)


def test_what_is_published_is_whole(two: Several) -> None:
    found = []
    for name in ("muon", "muon-shards"):
        with safe_open(two.folder / name / "model.safetensors", framework="pt") as file:
            found.append({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    assert found[0].keys() == found[1].keys()
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=0, atol=1e-4)
