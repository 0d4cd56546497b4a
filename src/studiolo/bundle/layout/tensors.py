"""How Hugging Face names, orders and fuses what our decoder holds, and back again.

So ``transformers`` loads what we train, and we load what it saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.bundle.layout.config import decoder_config
from studiolo.errors import MalformedFileError
from studiolo.nn.config import DecoderConfig
from studiolo.nn.decoder import Decoder


@dataclass(frozen=True)
class Part:
    """One of our parameters: its HF names in the order in which they are fused (rows)."""

    ours: str
    theirs: tuple[str, ...]
    transposed: bool = False
    offset: float = 0.0


def parts(config: DecoderConfig) -> Iterator[Part]:
    """Every parameter of the decoder, with where it stands in a Hugging Face file."""
    yield from _gpt2_parts(config) if config.architecture == "gpt2" else _llama_parts(config)


def _gpt2_parts(config: DecoderConfig) -> Iterator[Part]:
    names = [
        ("attention_norm", "ln_1"),
        ("attention.qkv", "attn.c_attn"),
        ("attention.out", "attn.c_proj"),
        ("mlp_norm", "ln_2"),
        ("mlp.up", "mlp.c_fc"),
        ("mlp.down", "mlp.c_proj"),
    ]
    yield Part("embed.weight", ("transformer.wte.weight",))
    yield Part("positions.weight", ("transformer.wpe.weight",))
    for i in range(len(config.layers)):
        for ours, theirs in names:
            here, there = f"blocks.{i}.{ours}", f"transformer.h.{i}.{theirs}"
            yield Part(f"{here}.weight", (f"{there}.weight",))
            yield Part(f"{here}.bias", (f"{there}.bias",))
    yield Part("norm.weight", ("transformer.ln_f.weight",))
    yield Part("norm.bias", ("transformer.ln_f.bias",))
    if not config.tied:
        yield Part("head.weight", ("lm_head.weight",))


def _llama_parts(config: DecoderConfig) -> Iterator[Part]:
    # Gemma multiplies by (1 + w); our norms hold the multiplier itself.
    offset = 1.0 if config.architecture == "gemma3_text" else 0.0
    norms = {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
    if config.norm_after:
        norms |= {
            "attention_after": "post_attention_layernorm",
            "mlp_norm": "pre_feedforward_layernorm",
            "mlp_after": "post_feedforward_layernorm",
        }
    if config.qk_norm:
        norms |= {"attention.q_norm": "self_attn.q_norm", "attention.k_norm": "self_attn.k_norm"}
    matrices = [
        ("attention.qkv", tuple(f"self_attn.{n}_proj" for n in "qkv"), config.qkv_bias),
        ("attention.out", ("self_attn.o_proj",), config.out_bias),
        ("mlp.up", ("mlp.gate_proj", "mlp.up_proj"), config.mlp_bias),
        ("mlp.down", ("mlp.down_proj",), config.mlp_bias),
    ]
    yield Part("embed.weight", ("model.embed_tokens.weight",))
    for i in range(len(config.layers)):
        here, there = f"blocks.{i}", f"model.layers.{i}"
        for ours, theirs in norms.items():
            yield Part(f"{here}.{ours}.weight", (f"{there}.{theirs}.weight",), offset=offset)
        for ours, fused, biased in matrices:
            for kind in ("weight", "bias") if biased else ("weight",):
                names = tuple(f"{there}.{n}.{kind}" for n in fused)
                yield Part(f"{here}.{ours}.{kind}", names, transposed=kind == "weight")
    yield Part("norm.weight", ("model.norm.weight",), offset=offset)
    if not config.tied:
        yield Part("head.weight", ("lm_head.weight",))


def load_decoder(
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Decoder:
    """Build the decoder of a checkpoint, one tensor at a time; norms stay float32.

    Raises :class:`MalformedFileError` when a tensor is missing or has another shape.
    """
    config = decoder_config(checkpoint.config)
    with torch.device("meta"):
        decoder = Decoder(config)
    fill(decoder, parts(config), checkpoint, dtype, device)
    _materialise_buffers(decoder, device)
    return decoder.eval().requires_grad_(False)


def fill(
    network: nn.Module,
    parts: Iterable[Part],
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    device: torch.device | str,
) -> None:
    """Give a network on the meta device its parameters, which ``parts`` lists, from the files."""
    present = set(checkpoint.names)
    shapes = {name: p.shape for name, p in network.named_parameters()}
    state = {}
    for part in parts:
        tensors = [fetch(checkpoint, name, present) for name in part.theirs]
        found = _shape(tensors, part)
        if found != shapes[part.ours]:
            raise MalformedFileError(
                f"tensor {part.theirs[0]!r} has shape {list(found)}, "
                f"but the config asks for {list(shapes[part.ours])}"
            )
        kept = torch.float32 if "norm" in part.ours or "_after" in part.ours else dtype
        tensor = _assemble([t.to(device=device, dtype=kept) for t in tensors], part)
        state[part.ours] = tensor + part.offset if part.offset else tensor
    network.load_state_dict(state, assign=True)


def _shape(tensors: list[Tensor], part: Part) -> torch.Size:
    """The shape that the pieces have when fused; of pieces that do not fit, the odd one's."""
    first = tensors[0].shape
    for tensor in tensors[1:]:
        if tensor.shape[1:] != first[1:]:
            return tensor.shape
    fused = torch.Size((sum(t.shape[0] for t in tensors), *first[1:])) if first else first
    return torch.Size(reversed(fused)) if part.transposed else fused


def _assemble(tensors: list[Tensor], part: Part) -> Tensor:
    """The pieces fused, in our order."""
    if part.transposed:
        return torch.cat([tensor.T for tensor in tensors], dim=1)
    return tensors[0].contiguous() if len(tensors) == 1 else torch.cat(tensors)


def _materialise_buffers(decoder: Decoder, device: torch.device | str) -> None:
    """Rope tables are computed, not stored: give them an empty start on the real device."""
    for rope in (decoder.rope, decoder.local_rope):
        if rope is not None:
            rope.table = torch.empty(2, 0, rope.size, device=device)


def fetch(checkpoint: Checkpoint, name: str, present: set[str]) -> Tensor:
    """A tensor of floats by its Hugging Face name; raises :class:`MalformedFileError`."""
    for candidate in (name, name.partition(".")[2]):  # without the head, as a bare model is saved
        if candidate in present:
            tensor = checkpoint.tensor(candidate)
            if not tensor.is_floating_point():
                raise MalformedFileError(f"tensor {candidate!r} is {tensor.dtype}, not floating")
            return tensor
    raise MalformedFileError(
        f"tensor {name!r} is missing",
        remedy="The file is incomplete, or its config describes another network.",
    )


def hf_tensors(decoder: Decoder) -> Iterator[tuple[str, Tensor]]:
    """The decoder's parameters under their Hugging Face names, one after another."""
    config = decoder.config
    qkv = [config.heads, config.kv_heads, config.kv_heads]
    state = decoder.state_dict()
    for part in parts(config):
        tensor = state[part.ours] - part.offset if part.offset else state[part.ours]
        if part.transposed:
            tensor = tensor.T.contiguous()
        if len(part.theirs) == 1:
            yield part.theirs[0], tensor
            continue
        sizes = (
            [n * config.head_size for n in qkv] if len(part.theirs) == 3 else [config.mlp_width] * 2
        )
        for name, piece in zip(part.theirs, tensor.split(sizes), strict=True):
            yield name, piece.contiguous()
