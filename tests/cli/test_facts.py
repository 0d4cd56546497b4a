from __future__ import annotations

from pathlib import Path

from studiolo.bundle.layout import decoder_config
from studiolo.bundle.store import find
from studiolo.cli.facts import cache_per_token, counted, of_bundle


def test_the_cache_holds_a_key_and_a_value_for_each_layer_and_kv_head() -> None:
    config = decoder_config(
        {
            "model_type": "llama",
            "vocab_size": 100,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
        }
    )
    assert cache_per_token(config) == 3 * 2 * 2 * 8


def test_what_is_no_language_model_is_described_as_far_as_it_goes(tmp_path: Path) -> None:
    from transformers import MPNetConfig, MPNetModel

    MPNetModel(
        MPNetConfig(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
        )
    ).save_pretrained(tmp_path / "mpnet")
    bundle = find(tmp_path / "mpnet")
    assert bundle is not None
    facts = of_bundle(bundle)
    assert facts["family"] == "encoder"
    assert facts["architecture"] == "mpnet"
    assert "not supported" in facts["note"]
    assert facts["tensor_types"]["F32"] > 5
    assert "note" in facts["tokenizer"]


def test_an_encoder_has_a_vector_and_no_cache(tiny_encoder: str) -> None:
    bundle = find(Path(tiny_encoder))
    assert bundle is not None
    facts = of_bundle(bundle)
    assert facts["family"] == "encoder"
    assert facts["vector"] == {"width": 32, "pooling": "mean", "normalised": True}
    assert facts["context_length"] == 24
    assert set(facts["memory"]) == {"weights_float32", "weights_packed"}
    assert facts["memory"]["weights_float32"] == 4 * facts["parameters"]
    assert 12 / 32 < facts["memory"]["weights_packed"] / facts["memory"]["weights_float32"] < 0.4


def test_counted_puts_the_most_frequent_first() -> None:
    assert list(counted(["a", "b", "b"]).items()) == [("b", 2), ("a", 1)]
