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
    from transformers import BertConfig, BertModel

    BertModel(
        BertConfig(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
        )
    ).save_pretrained(tmp_path / "bert")
    bundle = find(tmp_path / "bert")
    assert bundle is not None
    facts = of_bundle(bundle)
    assert facts["family"] == "encoder"
    assert facts["architecture"] == "bert"
    assert "not supported" in facts["note"]
    assert facts["tensor_types"]["F32"] > 5
    assert "note" in facts["tokenizer"]


def test_counted_puts_the_most_frequent_first() -> None:
    assert list(counted(["a", "b", "b"]).items()) == [("b", 2), ("a", 1)]
