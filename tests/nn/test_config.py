from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from studiolo.nn.config import DecoderConfig, EncoderConfig, LayerConfig, RopeConfig
from studiolo.nn.decoder import Decoder

SMALL: dict[str, Any] = {
    "architecture": "llama",
    "vocabulary": 50,
    "width": 16,
    "heads": 4,
    "kv_heads": 2,
    "head_size": 4,
    "mlp_width": 24,
    "context": 32,
    "layers": (LayerConfig(), LayerConfig()),
    "rope": RopeConfig(),
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tied": False},
        {"qkv_bias": True, "out_bias": True, "mlp_bias": True},
        {"norm": "layer", "gated": False, "activation": "gelu"},
        {"qk_norm": True, "norm_after": True},
        {"rope": None},
    ],
)
def test_the_count_of_parameters_is_that_of_the_network(changes: dict[str, Any]) -> None:
    config = DecoderConfig(**{**SMALL, **changes})
    assert config.parameters == sum(p.numel() for p in Decoder(config).parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "multiple of kv_heads"),
        ({"head_size": 3}, "must be even"),
        ({"layers": (LayerConfig(sliding=True),)}, "needs a window"),
        ({"layers": ()}, "at least 1 item"),
        ({"width": 0}, "greater than or equal to 1"),
        ({"width": 2**40}, "less than or equal"),
        ({"norm_eps": float("inf")}, "finite"),
        ({"unheard_of": 1}, "Extra inputs"),
    ],
)
def test_a_description_that_no_network_can_have_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        DecoderConfig(**{**SMALL, **changes})


def test_a_description_survives_json_and_cannot_be_changed() -> None:
    config = DecoderConfig(**SMALL)
    assert DecoderConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="frozen"):
        config.width = 32  # type: ignore[misc]


def test_longrope_needs_a_divisor_for_each_frequency() -> None:
    rope = RopeConfig(kind="longrope", original_context=16, short_factors=(1.0,), long_factors=())
    with pytest.raises(ValidationError, match="longrope needs 2 short and 2 long"):
        DecoderConfig(**{**SMALL, "rope": rope})
    with pytest.raises(ValidationError, match="high_frequency_factor"):
        RopeConfig(kind="llama3", original_context=16, high_frequency_factor=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 5}, r"width \(48\) must be a multiple of heads \(5\)"),
        ({"max_tokens": 39}, "must not exceed the 38 positions"),
        ({"pooling": "last"}, "pooling"),
        ({"layers": 0}, "layers"),
    ],
)
def test_an_impossible_encoder_is_refused(change: dict[str, Any], message: str) -> None:
    sizes: dict[str, Any] = {"vocabulary": 97, "width": 48, "heads": 6, "mlp_width": 80}
    sizes |= {"positions": 40, "first_position": 2, "layers": 3, "max_tokens": 38}
    EncoderConfig(architecture="roberta", **sizes)
    with pytest.raises(ValidationError, match=message):
        EncoderConfig(architecture="roberta", **{**sizes, **change})
