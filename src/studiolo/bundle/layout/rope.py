"""Rotary settings in ``config.json``: two spellings, old and new, of the same facts.

Since transformers 5 they stand in ``rope_parameters``, one dictionary or one for each kind
of layer; before, in ``rope_theta`` and ``rope_scaling``. Both are read. The old spelling is
written, since both versions read it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from studiolo.errors import UnsupportedModelError
from studiolo.nn.config import DecoderConfig, RopeConfig

KINDS = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")
BASE_BY_DEFAULT = {"smollm3": 2_000_000.0, "gemma3_text": 1_000_000.0}
LOCAL_BASE_BY_DEFAULT = 10_000.0


def read_ropes(
    kind: str, hf: Mapping[str, Any], context: int
) -> tuple[RopeConfig, RopeConfig | None]:
    """The rotary settings of full layers, and of sliding ones where they differ.

    ``kind``: the ``model_type``; ``context``: the model's ``max_position_embeddings``.
    """
    parameters: Mapping[str, Any] = hf.get("rope_parameters") or {}
    scaling: Mapping[str, Any] = hf.get("rope_scaling") or {}
    base = hf.get("rope_theta") or BASE_BY_DEFAULT.get(kind, 10_000.0)
    if "full_attention" in parameters or "sliding_attention" in parameters:
        full = parameters.get("full_attention") or {}
        local = parameters.get("sliding_attention") or {}
    else:
        full, local = {**parameters, **scaling}, {}
    rope = _read({"rope_theta": base, **full}, hf, context)
    if kind != "gemma3_text":
        return rope, _read({"rope_theta": base, **local}, hf, context) if local else None
    local_base = hf.get("rope_local_base_freq") or LOCAL_BASE_BY_DEFAULT
    return rope, _read({"rope_theta": local_base, **local}, hf, context)


def _read(given: Mapping[str, Any], hf: Mapping[str, Any], context: int) -> RopeConfig:
    kind = given.get("rope_type") or given.get("type") or "default"
    if kind not in KINDS:
        raise UnsupportedModelError(
            f"rotary scaling {kind!r} is not supported", remedy=f"Supported: {', '.join(KINDS)}."
        )
    if (given.get("partial_rotary_factor") or hf.get("partial_rotary_factor") or 1.0) != 1.0:
        raise UnsupportedModelError("partial rotary embedding is not supported")
    original = (
        hf.get("original_max_position_embeddings")
        or given.get("original_max_position_embeddings")
        or context
    )
    values: dict[str, Any] = {"kind": kind, "base": given["rope_theta"]}
    factor: Any = given.get("factor")
    if factor is None and kind in ("yarn", "longrope"):
        factor = context / original
    if kind != "default":
        values["factor"] = factor
    if kind == "dynamic":
        values["original_context"] = context
    elif kind in ("yarn", "longrope", "llama3"):
        values["original_context"] = original
    if kind in ("yarn", "longrope"):
        values["attention_factor"] = given.get("attention_factor")
    if kind == "yarn":
        values["beta_fast"] = given.get("beta_fast") or 32.0
        values["beta_slow"] = given.get("beta_slow") or 1.0
        values["truncate"] = given.get("truncate", True)
        wide, narrow = given.get("mscale"), given.get("mscale_all_dim")
        if values["attention_factor"] is None and wide and narrow:
            values["attention_factor"] = _mscale(factor, wide) / _mscale(factor, narrow)
    if kind == "longrope":
        values["short_factors"] = tuple(given["short_factor"])
        values["long_factors"] = tuple(given["long_factor"])
    if kind == "llama3":
        values["low_frequency_factor"] = given["low_freq_factor"]
        values["high_frequency_factor"] = given["high_freq_factor"]
    return RopeConfig(**values)


def _mscale(factor: float, scale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def write_ropes(config: DecoderConfig) -> dict[str, Any]:
    """The entries of ``config.json`` that describe the rotary settings."""
    if config.rope is None:
        return {}
    out: dict[str, Any] = {"rope_theta": config.rope.base, "rope_scaling": _write(config.rope)}
    if config.local_rope is not None:
        if config.architecture != "gemma3_text" or config.local_rope.kind != "default":
            raise UnsupportedModelError("scaled rotary positions in sliding layers cannot be saved")
        out["rope_local_base_freq"] = config.local_rope.base
    return out


def _write(rope: RopeConfig) -> dict[str, Any] | None:
    if rope.kind == "default":
        return None
    out: dict[str, Any] = {"rope_type": rope.kind, "factor": rope.factor}
    if rope.kind in ("yarn", "longrope", "llama3"):
        out["original_max_position_embeddings"] = rope.original_context
    if rope.attention_factor is not None:
        out["attention_factor"] = rope.attention_factor
    if rope.kind == "yarn":
        out |= {"beta_fast": rope.beta_fast, "beta_slow": rope.beta_slow, "truncate": rope.truncate}
    if rope.kind == "longrope":
        out |= {"short_factor": list(rope.short_factors), "long_factor": list(rope.long_factors)}
    if rope.kind == "llama3":
        out |= {
            "low_freq_factor": rope.low_frequency_factor,
            "high_freq_factor": rope.high_frequency_factor,
        }
    return out
