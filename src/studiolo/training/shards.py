"""A network in pieces: each of several processes keeps its rows of every weight (FSDP2).

PyTorch's ``fully_shard`` (Zhao et al. 2023, PyTorch FSDP; ZeRO stage 3 of Rajbhandari et al. 2020)
makes every parameter a ``DTensor``, gathers a block's weights before it is run and lets them go
after. Here stand the few things that the rest of training asks of tensors that may be such:
what of them lies here, the whole, and one laid out as another is. Whether a tensor is split is
asked without importing what splits it, which takes half a second. Knows decoders and tensors;
does not know optimisers.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeGuard, cast

import torch
import torch.distributed as dist
from torch import Tensor

from studiolo.nn.decoder import Decoder
from studiolo.nn.linear import Linear
from studiolo.training.processes import Processes

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor, Shard


def shard(decoder: Decoder, processes: Processes) -> None:
    """Split every weight of ``decoder`` by its rows, in place; its parameters are new ones then.

    Gradients are summed over the processes, not averaged. What is not a parameter of the module,
    such as low-rank updates, stays whole.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(processes.device.type, (processes.count,))
    for block in decoder.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(decoder, mesh=mesh)
    for module in decoder.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            # Gloo knows no scaled sums.
            module.set_force_sum_reduction_for_comms(True)
    # Learners call it so, past the hooks of a module that is called itself.
    register_fsdp_forward_method(decoder, "forward")
    # It warns of what in-place changes of those states would do; nobody makes any.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")


def settle(decoder: Decoder) -> None:
    """Let go of weights that an evaluation has left gathered, which a change would not reach."""
    for module in decoder.modules():
        reshard = getattr(module, "reshard", None)
        if reshard is not None:
            reshard()


def is_split(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether only a part of it lies here."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Tensor) -> Tensor:
    """What of it lies here, sharing its memory."""
    return tensor.to_local() if is_split(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of it; every process must ask."""
    return tensor.full_tensor() if is_split(tensor) else tensor


def laid(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole ``tensor``, which every process can read, split as ``like`` is; nothing is sent."""
    if not is_split(like):
        return tensor
    dim = cast("Shard", like.placements[0]).dim
    sizes = _chunks(tensor.shape[dim], like.device_mesh.size())
    rank = like.device_mesh.get_local_rank()
    here = tensor.narrow(dim, sum(sizes[:rank]), sizes[rank])
    # Copied, so that the whole can be let go of.
    return as_part(here.to(like.device, copy=True), like)


def as_part(here: Tensor, of: Tensor) -> Tensor:
    """What lies here, as the part that it is of something laid out as ``of``; shares memory."""
    if not is_split(of):
        return here
    from torch.distributed.tensor import DTensor

    made: Tensor = DTensor.from_local(
        here, of.device_mesh, of.placements, run_check=False, shape=of.shape, stride=of.stride()
    )
    return made


def stacked(parts: Tensor, of: Tensor) -> Tensor:
    """``parts``: ``[n, r, c]``, of n matrices what lies here, if they are split as ``of`` is."""
    if not is_split(of):
        return parts
    from torch.distributed.tensor import DTensor, Shard

    n, _, c = parts.shape
    rows = of.shape[0]
    made: Tensor = DTensor.from_local(
        parts,
        of.device_mesh,
        [Shard(1)],
        run_check=False,
        shape=torch.Size((n, rows, c)),
        stride=(rows * c, c, 1),
    )
    return made


def on_whole(function: Callable[[Tensor], Tensor], parts: Tensor, of: Tensor) -> Tensor:
    """``function`` of whole matrices ``[n, r, c]``, of which ``parts`` lies here; so does the rest.

    Each process gets some of the matrices whole, and gives every other its rows back: twice an
    all-to-all, and a part of the work for each.
    """
    if not is_split(of):
        return function(parts)
    group = of.device_mesh.get_group()
    rank, count = dist.get_rank(group), dist.get_world_size(group)
    number, _, columns = parts.shape
    taken, heights = _chunks(number, count), _chunks(of.shape[0], count)
    there = [n * parts.shape[1] * columns for n in taken]
    here = [taken[rank] * rows * columns for rows in heights]
    received = parts.new_empty(sum(here))
    dist.all_to_all_single(received, parts.flatten(), here, there, group=group)
    shapes = [(taken[rank], rows, columns) for rows in heights]
    pieces = zip(torch.split(received, here), shapes, strict=True)
    mine = torch.cat([piece.view(shape) for piece, shape in pieces], dim=1)
    if taken[rank]:
        mine = function(mine)
    back = torch.cat([rows.flatten() for rows in torch.split(mine, heights, dim=1)])
    found = torch.empty_like(parts).flatten()
    dist.all_to_all_single(found, back, there, here, group=group)
    return found.view(parts.shape)


def whole_copy(decoder: Decoder, processes: Processes, device: torch.device) -> Decoder | None:
    """In the first process a plain decoder with the weights of now, on ``device``; else None."""
    copy = Decoder(decoder.config).to(device) if processes.first else None
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            found = whole(parameter)
            if copy is not None:
                copy.get_parameter(name).copy_(found)
    if copy is not None:
        for name, module in decoder.named_modules():
            if isinstance(module, Linear):
                cast(Linear, copy.get_submodule(name)).update = module.update
    return copy


def _chunks(size: int, count: int) -> list[int]:
    """How DTensor cuts: equal pieces, rounded up, until nothing is left."""
    each = -(-size // count)
    return [max(0, min(each, size - i * each)) for i in range(count)]
