"""GGUF tensors under the names, and in the layout, that ``transformers`` gives them.

llama.cpp's converter renames tensors and for some architectures changes their values; here
both are undone: Q and K of Llama and SmolLM3 are permuted back from interleaved to split
rotary halves, Gemma 3's norm weights lose the 1 that was added, GPT-2's matrices are
transposed to ``[in, out]`` again. The table has both ways, so that
``bundle/gguf_writer`` goes the other. Notable choice: the file must have exactly the tensors,
in exactly the shapes, that its metadata calls for; a tensor too many is an error as well,
because it would change the output and not be noticed.

Deliberately unknown here: blocks and bytes (``bundle/gguf``), configuration values
(``bundle/gguf_config``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.bundle.gguf import GGUFFile
from studiolo.bundle.gguf_blocks import read_blocks as read_blocks_of
from studiolo.bundle.gguf_config import Metadata, config_from_metadata
from studiolo.errors import MalformedFileError, UnsupportedModelError
from studiolo.nn.packed import Packed

_ROPE_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")

SAMPLING = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}


@dataclass(frozen=True)
class Change:
    """What llama.cpp's converter does to a tensor, and what undoes it."""

    do: Callable[[Tensor], Tensor]
    undo: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Source:
    """Where one Hugging Face tensor lies in a GGUF: its name and shape there, and its change."""

    name: str
    shape: tuple[int, ...]
    change: Change | None = None

    @property
    def given(self) -> tuple[int, ...]:
        """Its shape under the Hugging Face name."""
        return self.shape[::-1] if self.change is _TRANSPOSED else self.shape


def gguf_checkpoint(file: GGUFFile) -> Checkpoint:
    """The file as a Hugging Face checkpoint; tensors are dequantised when asked for.

    Raises :class:`MalformedFileError` if tensors are missing, misshapen or contradict the
    metadata, and :class:`UnsupportedModelError` for architectures, keys or tensors that
    are not understood.
    """
    metadata = Metadata(file.path, file.metadata)
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise MalformedFileError(f"{file.path}: there is no matrix 'token_embd.weight'")
    vocab_size = embedding.shape[0]
    tokens = file.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, list) and len(tokens) > vocab_size:
        raise MalformedFileError(
            f"{file.path}: {len(tokens):,} tokens, but embeddings for {vocab_size:,} only"
        )
    if (blocks := metadata.integer("block_count")) > len(file.tensors):
        raise MalformedFileError(
            f"{file.path}: {blocks:,} blocks are claimed, with {len(file.tensors):,} tensors in all"
        )
    tied = "output.weight" not in file.tensors
    factors = {name: file.read(name) for name in _ROPE_TENSORS if name in file.tensors}
    config = config_from_metadata(metadata, vocab_size, tied, factors)
    if metadata.architecture in ("llama", "smollm3"):
        config["attention_bias"] = "blk.0.attn_q.bias" in file.tensors
        config["mlp_bias"] = "blk.0.ffn_down.bias" in file.tensors
    sources = gguf_sources(config)
    _check(file, sources)

    def read(name: str) -> Tensor:
        source = sources[name]
        tensor = file.read(source.name)
        return tensor if source.change is None else source.change.undo(tensor)

    def read_blocks(name: str) -> Packed | None:
        source, info = sources[name], file.tensors[sources[name].name]
        if len(info.shape) != 2:
            return None
        raw = file.raw(source.name)
        # A permutation of rows permutes rows of blocks; a transposition is Hugging Face's alone,
        # for a GGUF has every matrix as [outputs, inputs].
        if source.change is not None and source.change is not _TRANSPOSED:
            raw = source.change.undo(torch.from_numpy(raw.copy())).numpy()
        return read_blocks_of(raw, info.type)

    return Checkpoint(
        path=file.path,
        config=config,
        generation=_generation(file, metadata, vocab_size),
        names=tuple(sources),
        read=read,
        read_blocks=read_blocks,
    )


def _check(file: GGUFFile, sources: dict[str, Source]) -> None:
    """Each tensor that is called for is there, in its shape, and there is no other."""
    for source in sources.values():
        info = file.tensors.get(source.name)
        if info is None:
            raise MalformedFileError(f"{file.path}: tensor {source.name!r} is missing")
        if info.shape != source.shape:
            raise MalformedFileError(
                f"{file.path}: tensor {source.name!r} has shape {list(info.shape)}; "
                f"the metadata calls for {list(source.shape)}"
            )
    known = {source.name for source in sources.values()}.union(_ROPE_TENSORS)
    for name in file.tensors:
        if name not in known:
            raise UnsupportedModelError(f"{file.path}: tensor {name!r} is not understood")


def _generation(file: GGUFFile, metadata: Metadata, vocab_size: int) -> dict[str, object]:
    """``generation_config.json``: special tokens, and the sampling that the file recommends."""
    result: dict[str, object] = {}
    for key, name in (("bos", "bos"), ("pad", "padding")):
        if (token := metadata.token(f"{name}_token_id", vocab_size)) is not None:
            result[f"{key}_token_id"] = token
    ends = [metadata.token(f"{name}_token_id", vocab_size) for name in ("eos", "eot", "eom")]
    unique = list(dict.fromkeys(end for end in ends if end is not None))
    if unique:
        result["eos_token_id"] = unique[0] if len(unique) == 1 else unique
    for key, name in SAMPLING.items():
        value = file.metadata.get(f"general.sampling.{key}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            result[name] = float(f"{value:.7g}") if isinstance(value, float) else value
            result["do_sample"] = True
    return result


def _permuted(heads: int) -> Change:
    """The converter's ``permute`` of rows: ``(head, 2, half)`` becomes ``(head, half, 2)``."""

    def swap(tensor: Tensor, first: int, second: int) -> Tensor:
        rows = tensor.view(heads, first, second, *tensor.shape[1:])
        return rows.transpose(1, 2).reshape(tensor.shape)

    def half(tensor: Tensor) -> int:
        return tensor.shape[0] // heads // 2

    return Change(
        do=lambda tensor: swap(tensor, 2, half(tensor)),
        undo=lambda tensor: swap(tensor, half(tensor), 2),
    )


def _transpose(tensor: Tensor) -> Tensor:
    return tensor.T.contiguous()


_TRANSPOSED = Change(_transpose, _transpose)
_PLUS_ONE = Change(do=lambda tensor: tensor + 1, undo=lambda tensor: tensor - 1)


def gguf_sources(config: Mapping[str, object]) -> dict[str, Source]:
    """Every tensor of the network that ``config`` (a ``config.json``) describes, by its name there.

    ``config`` must say what the architecture has no default for here: ``head_dim`` and the counts
    of heads among it.
    """
    return _gpt2(config) if config["model_type"] == "gpt2" else _rotary(config)


def _rotary(config: Mapping[str, object]) -> dict[str, Source]:
    """Names of the Llama shape: RMS norms, separate Q, K and V, gated feed-forward."""

    def size(key: str) -> int:
        value = config[key]
        return value if isinstance(value, int) else 0

    width, inner, vocab = size("hidden_size"), size("intermediate_size"), size("vocab_size")
    heads, kv_heads, head = (
        size("num_attention_heads"),
        size("num_key_value_heads"),
        size("head_dim"),
    )
    kind = config["model_type"]
    gemma = kind == "gemma3_text"
    norm = _PLUS_ONE if gemma else None
    permuted = kind in ("llama", "mistral", "smollm3")
    result = {"model.embed_tokens.weight": Source("token_embd.weight", (vocab, width))}
    for layer in range(size("num_hidden_layers")):
        ours, theirs = f"model.layers.{layer}.", f"blk.{layer}."

        def add(
            name: str,
            source: str,
            shape: tuple[int, ...],
            change: Change | None = None,
            *,
            ours: str = ours,
            theirs: str = theirs,
        ) -> None:
            result[ours + name] = Source(theirs + source, shape, change)

        projections = [
            ("self_attn.q_proj", "attn_q", (heads * head, width), heads),
            ("self_attn.k_proj", "attn_k", (kv_heads * head, width), kv_heads),
            ("self_attn.v_proj", "attn_v", (kv_heads * head, width), 0),
            ("self_attn.o_proj", "attn_output", (width, heads * head), 0),
            ("mlp.gate_proj", "ffn_gate", (inner, width), 0),
            ("mlp.up_proj", "ffn_up", (inner, width), 0),
            ("mlp.down_proj", "ffn_down", (width, inner), 0),
        ]
        for name, source, shape, rotated in projections:
            change = _permuted(rotated) if permuted and rotated else None
            add(f"{name}.weight", f"{source}.weight", shape, change)
            if name.startswith("mlp"):
                bias = config.get("mlp_bias")
            elif kind == "qwen2":
                bias = name != "self_attn.o_proj"
            else:
                bias = config.get("attention_bias")
            if bias:
                add(f"{name}.bias", f"{source}.bias", shape[:1], change)
        norms = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
        if gemma:
            norms = {
                "input_layernorm": "attn_norm",
                "post_attention_layernorm": "post_attention_norm",
                "pre_feedforward_layernorm": "ffn_norm",
                "post_feedforward_layernorm": "post_ffw_norm",
            }
        for name, source in norms.items():
            add(f"{name}.weight", f"{source}.weight", (width,), norm)
        if gemma or kind == "qwen3":
            for letter in "qk":
                name, source = f"self_attn.{letter}_norm.weight", f"attn_{letter}_norm.weight"
                add(name, source, (head,), norm)
    result["model.norm.weight"] = Source("output_norm.weight", (width,), norm)
    if not config["tie_word_embeddings"]:
        result["lm_head.weight"] = Source("output.weight", (vocab, width))
    return result


def _gpt2(config: Mapping[str, object]) -> dict[str, Source]:
    """Names of GPT-2, whose ``Conv1D`` matrices lie ``[in, out]``."""

    def size(key: str) -> int:
        value = config[key]
        return value if isinstance(value, int) else 0

    width, vocab = size("n_embd"), size("vocab_size")
    inner = size("n_inner") or 4 * width
    result = {
        "transformer.wte.weight": Source("token_embd.weight", (vocab, width)),
        "transformer.wpe.weight": Source("position_embd.weight", (size("n_positions"), width)),
    }
    for layer in range(size("n_layer")):
        ours, theirs = f"transformer.h.{layer}.", f"blk.{layer}."
        for name, source, shape in (
            ("attn.c_attn", "attn_qkv", (3 * width, width)),
            ("attn.c_proj", "attn_output", (width, width)),
            ("mlp.c_fc", "ffn_up", (inner, width)),
            ("mlp.c_proj", "ffn_down", (width, inner)),
        ):
            result[f"{ours}{name}.weight"] = Source(f"{theirs}{source}.weight", shape, _TRANSPOSED)
            result[f"{ours}{name}.bias"] = Source(f"{theirs}{source}.bias", shape[:1])
        for name, source in (("ln_1", "attn_norm"), ("ln_2", "ffn_norm")):
            for part in ("weight", "bias"):
                result[f"{ours}{name}.{part}"] = Source(f"{theirs}{source}.{part}", (width,))
    for part in ("weight", "bias"):
        result[f"transformer.ln_f.{part}"] = Source(f"output_norm.{part}", (width,))
    if not config["tie_word_embeddings"]:
        result["lm_head.weight"] = Source("output.weight", (vocab, width))
    return result
