from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studiolo.bundle.manifest import BundleManifest, Lineage, hash_file
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.config import DecoderConfig, LayerConfig, RopeConfig
from studiolo.nn.decoder import Decoder
from studiolo.training.characters import alphabet, character_tokenizer
from studiolo.training.language import new_decoder
from studiolo.training.publish import Facts, publish

TEXT = "the cat sat on the mat\n"
FACTS = Facts(
    name="rhyme",
    licence="CC0-1.0",
    lineage=Lineage(data=("d" * 64,), recipe="e" * 64),
    quality={"validation_loss": 1.25},
    details={"trained for": "20 steps"},
)


@pytest.fixture
def tokenizer() -> Tokenizer:
    return character_tokenizer(alphabet(TEXT))


def decoder(tokenizer: Tokenizer, architecture: str = "llama") -> Decoder:
    config = DecoderConfig(
        architecture=architecture,
        vocabulary=tokenizer.vocab_size,
        width=16,
        heads=2,
        kv_heads=1,
        head_size=8,
        mlp_width=32,
        context=32,
        layers=(LayerConfig(),) * 2,
        qk_norm=architecture == "qwen3",
        rope=RopeConfig(),
    )
    made = new_decoder(config, 1, torch.device("cpu"))
    with torch.no_grad():  # what writes into the residual stream begins at zero
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    return made.eval()


def published(folder: Path, decoder: Decoder, tokenizer: Tokenizer) -> BundleManifest:
    workshop = folder / "training"
    workshop.mkdir(exist_ok=True)
    return publish(folder, workshop, decoder, tokenizer, FACTS)


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_transformers_computes_the_same_from_the_folder(
    tmp_path: Path, tokenizer: Tokenizer, architecture: str
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ours = decoder(tokenizer, architecture)
    published(tmp_path, ours, tokenizer)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    ids = torch.tensor([tokenizer.encode(TEXT)])
    assert AutoTokenizer.from_pretrained(tmp_path)(TEXT)["input_ids"] == ids[0].tolist()
    with torch.no_grad():
        wanted, found = theirs(ids).logits, ours.logits(ours.forward(ids))
    assert torch.allclose(wanted, found, atol=1e-5)


def test_the_bundle_tells_what_it_is_made_of(tmp_path: Path, tokenizer: Tokenizer) -> None:
    told = published(tmp_path, decoder(tokenizer), tokenizer)
    kept = BundleManifest.model_validate_json((tmp_path / "bundle.json").read_text())
    assert kept == told
    assert (kept.licence, kept.lineage, kept.quality) == ("CC0-1.0", FACTS.lineage, FACTS.quality)
    assert kept.files == {name: hash_file(tmp_path / name) for name in kept.files}
    card = (tmp_path / "README.md").read_text()
    for fact in ("# rhyme", "CC0-1.0", "20 steps", "1.2500", "d" * 64, "e" * 64, "from scratch"):
        assert fact in card


def test_a_bundle_that_was_there_is_replaced(tmp_path: Path, tokenizer: Tokenizer) -> None:
    first = published(tmp_path, decoder(tokenizer), tokenizer)
    second = published(tmp_path, decoder(tokenizer), tokenizer)
    assert first.digest != second.digest
    assert hash_file(tmp_path / "model.safetensors") == second.files["model.safetensors"]
    assert not list((tmp_path / "training").iterdir())
