"""Adapters that ``peft`` saves: what they do, where they are found, and what is refused by name."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from studiolo.bundle.adapter import (
    CONFIG,
    MAX_RANK,
    WEIGHTS,
    adapter_digest,
    find_adapter,
    installed_adapter,
    installed_adapters,
    read_adapter,
)
from studiolo.bundle.layout import load_decoder, load_packed
from studiolo.errors import (
    InvalidRequestError,
    MalformedFileError,
    StudioloError,
    UnsupportedModelError,
)
from studiolo.nn.config import DecoderConfig
from studiolo.nn.decoder import Decoder
from studiolo.nn.native import best_player
from studiolo.nn.network import Piece
from tests import reference
from tests.adapters import TARGETS, drawn, worn, write
from tests.nn.packs import read

IDS = torch.randint(3, 97, (1, 20), generator=torch.Generator().manual_seed(1))


def scores(decoder: Decoder, path: Path) -> torch.Tensor:
    adaptation = decoder.adapt(read_adapter(path, decoder.config))
    piece = Piece(IDS[0].tolist(), decoder.new_cache(), IDS.shape[1], adaptation)
    with torch.no_grad():
        return decoder.step([piece])[0]


@pytest.mark.parametrize("name", ["gpt2", "llama-biased-untied", "qwen2", "gemma3"])
@pytest.mark.parametrize("targets", ["all", "some"])
def test_it_does_what_peft_does(name: str, targets: str, tmp_path: Path) -> None:
    """``y + alpha / r * B (A x)`` at every module, by hand, in the reference."""
    model = reference.make(name)
    source = reference.checkpoint(model)
    chosen = TARGETS.get(name, TARGETS["llama"])
    pairs = drawn(model, *(chosen if targets == "all" else chosen[:2]), rank=5)
    path = write(tmp_path / "tuned", pairs, r=5, lora_alpha=8)
    with torch.no_grad():
        plain = model(IDS).logits[0]
        with worn(model, pairs, 8 / 5):
            expected = model(IDS).logits[0]
    assert (expected - plain).norm() > 0.2 * plain.norm()
    assert (scores(load_decoder(source), path) - expected).abs().max() < 2e-4
    packed = load_packed(source, best_player())
    adaptation = packed.adapt(read_adapter(path, packed.config))
    assert (adaptation.name, adaptation.digest) == ("tuned", adapter_digest(path))
    got = read(packed, IDS[0].tolist(), adapter=adaptation)
    assert (got - expected).norm() < 0.05 * expected.norm()


def test_ranks_and_alphas_may_differ_by_module(tmp_path: Path) -> None:
    """The first name of a pattern that a module ends with counts; rsLoRA divides by the root."""
    model = reference.make("llama")

    def rank(name: str) -> int:
        if name == "model.layers.1.mlp.up_proj":
            return 3
        return 6 if name.endswith("v_proj") else 4

    def scale(name: str) -> float:
        alpha = 9 if "layers.2.mlp" in name else 2.5 if name.endswith("q_proj") else 8
        return alpha / math.sqrt(rank(name))

    pairs = drawn(model, "q_proj", "v_proj", "up_proj", rank=rank)
    path = write(
        tmp_path,
        pairs,
        r=4,
        lora_alpha=8,
        use_rslora=True,
        rank_pattern={"^model.layers.1.mlp.up_proj": 3, "v_proj": 6, "mlp.up_proj": 4},
        alpha_pattern={"layers.2.mlp.up_proj": 9, "q_proj": 2.5, "proj": 77, "up_pro": 78},
    )
    with torch.no_grad(), worn(model, pairs, scale):
        expected = model(IDS).logits[0]
    got = scores(load_decoder(reference.checkpoint(model)), path)
    assert (got - expected).abs().max() < 2e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_float_are_kept_as_they_are(dtype: torch.dtype, tmp_path: Path) -> None:
    model = reference.make("llama")
    pairs = {
        name: (down.to(dtype), up.to(dtype)) for name, (down, up) in drawn(model, "q_proj").items()
    }
    adapter = read_adapter(write(tmp_path, pairs), config())
    update = adapter.updates["blocks.1.attention.qkv", 0]
    down, up = pairs["model.layers.1.self_attn.q_proj"]
    assert torch.equal(update.down, down.float())
    assert torch.equal(update.up, up.float())
    assert update.scale == 2.0


def test_one_of_a_model_without_its_head_is_read_too(tmp_path: Path) -> None:
    pairs = drawn(reference.make("llama"), "o_proj")
    whole = read_adapter(write(tmp_path / "whole", pairs), config())
    bare = {name.removeprefix("model."): pair for name, pair in pairs.items()}
    assert set(read_adapter(write(tmp_path / "bare", bare), config()).updates) == set(whole.updates)


def test_the_digest_is_of_both_files(tmp_path: Path) -> None:
    path = write(tmp_path, drawn(reference.make("llama"), "o_proj"))
    sums = [hashlib.sha256((path / n).read_bytes()).hexdigest() for n in (CONFIG, WEIGHTS)]
    together = "".join(f"{each}\n" for each in sorted(sums))
    digest = hashlib.sha256(together.encode()).hexdigest()
    assert adapter_digest(path) == digest == read_adapter(path, config()).digest
    write(path, drawn(reference.make("llama"), "o_proj"), lora_alpha=17)
    assert adapter_digest(path) != digest


def test_installed_ones_have_names_and_others_paths(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed_adapters() == []
    with pytest.raises(InvalidRequestError, match=r"none is called 'poet'\nThey are kept in "):
        find_adapter("poet")
    pairs = drawn(reference.make("llama"), "q_proj")
    installed = write(home / "adapters" / "poet", pairs)
    (home / "adapters" / "something").mkdir()
    elsewhere = write(tmp_path / "else" / "prose", pairs)
    assert installed_adapters() == ["poet"]
    assert installed_adapter("poet") == find_adapter("poet") == installed
    for no_name in ("prose", "../adapters/poet", str(elsewhere), "", "."):
        assert installed_adapter(no_name) is None
    monkeypatch.chdir(elsewhere.parent)
    for way in (str(elsewhere), elsewhere, "./prose", Path("prose")):
        assert find_adapter(way) == elsewhere
    with pytest.raises(InvalidRequestError, match=r"none is called 'poem'\nThere are poet\."):
        find_adapter("poem")
    with pytest.raises(InvalidRequestError, match=r"there is no directory '.*nowhere'"):
        find_adapter("./nowhere")
    with pytest.raises(InvalidRequestError, match="must be a name or a path, not 7"):
        find_adapter(7)  # type: ignore[arg-type]


# --- what is refused ------------------------------------------------------------------------------


def config() -> DecoderConfig:
    return load_decoder(reference.checkpoint(reference.make("llama"))).config


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "tuned", drawn(reference.make("llama"), "q_proj", "down_proj"))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"peft_type": "IA3"}, UnsupportedModelError, "peft_type = 'IA3' is not supported"),
        ({"peft_type": None}, UnsupportedModelError, "peft_type = None"),
        ({"bias": "all"}, UnsupportedModelError, "bias = 'all' is not supported"),
        ({"use_dora": True}, UnsupportedModelError, "use_dora = True is not supported"),
        ({"modules_to_save": ["lm_head"]}, UnsupportedModelError, "modules_to_save"),
        ({"lora_bias": True}, UnsupportedModelError, "lora_bias = True"),
        ({"layer_replication": [[0, 2]]}, UnsupportedModelError, "layer_replication"),
        ({"trainable_token_indices": [3]}, UnsupportedModelError, "trainable_token_indices"),
        ({"a_thing_of_the_future": 1}, UnsupportedModelError, "a_thing_of_the_future = 1"),
        ({"init_lora_weights": "pissa_niter_4"}, UnsupportedModelError, "convert it to plain LoRA"),
        ({"init_lora_weights": 1}, UnsupportedModelError, "init_lora_weights = 1"),
        (
            {"rank_pattern": {"(a+)+": 4}},
            UnsupportedModelError,
            r"'\(a\+\)\+' is no name but a reg",
        ),
        ({"rank_pattern": [3]}, MalformedFileError, "rank_pattern is no JSON object"),
        ({"rank_pattern": {"q_proj": 0}}, MalformedFileError, "a rank must be 1 to 1024, not 0"),
        (
            {"rank_pattern": {"q_proj": 4}},
            MalformedFileError,
            "q_proj is of rank 8 and 8, .* says 4",
        ),
        ({"alpha_pattern": {"q_proj": "x"}}, MalformedFileError, "alpha must be a number, not 'x'"),
        ({"r": 4}, MalformedFileError, "is of rank 8 and 8, but adapter_config.json says 4"),
        ({"r": MAX_RANK + 1}, MalformedFileError, "a rank must be 1 to 1024, not 1025"),
        ({"r": True}, MalformedFileError, "a rank must be 1 to 1024, not True"),
        ({"r": None}, MalformedFileError, "not None"),
        ({"lora_alpha": math.nan}, MalformedFileError, "an alpha must be a number, not nan"),
        ({"lora_alpha": 1e300}, MalformedFileError, "an alpha must be a number"),
        ({"use_rslora": "no"}, MalformedFileError, "use_rslora must be true or false"),
        (
            {"target_modules": ["q_proj", "k_proj"]},
            MalformedFileError,
            "no tensors of 'k_proj'",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_would_change_the_result_are_refused(
    path: Path, changed: dict[str, Any], error: type[StudioloError], message: str
) -> None:
    settings = json.loads((path / CONFIG).read_text(encoding="utf-8")) | changed
    (path / CONFIG).write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(error, match=message):
        read_adapter(path, config())


def renamed(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: tensors.update({f"base_model.model.{new}": tensors.pop(f"{Q}.{old}")})


Q = "base_model.model.model.layers.0.self_attn.q_proj"
HALVES = ("lora_A.weight", "lora_B.weight")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.pop(f"{Q}.lora_B.weight"), MalformedFileError, "there is only lora_A"),
        (
            lambda t: t[f"{Q}.lora_A.weight"].__setitem__((0, 0), math.nan),
            MalformedFileError,
            "infi",
        ),
        (
            lambda t: t.update({f"{Q}.lora_A.weight": torch.ones(8)}),
            MalformedFileError,
            "no matrix",
        ),
        (
            lambda t: t.update({f"{Q}.lora_A.weight": torch.ones(8, 47)}),
            UnsupportedModelError,
            "is of 47 inputs and 48 outputs, but here of 48 and 48",
        ),
        (lambda t: t.clear(), MalformedFileError, "there are no tensors of 'down_proj', which"),
        (
            lambda t: t.update({f"{Q}.lora_A.weight": torch.ones(8, 48, dtype=torch.int32)}),
            UnsupportedModelError,
            "has dtype I32",
        ),
        (
            renamed("lora_A.weight", "lm_head.lora_A.weight"),
            UnsupportedModelError,
            "'lm_head', which",
        ),
        (
            renamed("lora_A.weight", "model.layers.4.self_attn.q_proj.lora_A.weight"),
            UnsupportedModelError,
            r"no product of a block of this model \(llama of 4 blocks\)",
        ),
        (
            renamed("lora_A.weight", "model.embed_tokens.lora_embedding_A"),
            UnsupportedModelError,
            "changing embeddings is not supported",
        ),
        (
            renamed("lora_A.weight", "model.layers.0.self_attn.q_proj.lora_magnitude_vector"),
            UnsupportedModelError,
            "changing DoRA's magnitudes",
        ),
        (
            renamed("lora_A.weight", "model.layers.0.self_attn.q_proj.lora_B.bias"),
            UnsupportedModelError,
            "changing biases",
        ),
        (renamed("lora_A.weight", "lm_head.weight"), UnsupportedModelError, "modules_to_save"),
        (
            renamed("lora_A.weight", "layers.1.self_attn.q_proj.lora_A.weight"),
            MalformedFileError,
            "lora_A of 'model.layers.1.self_attn.q_proj' stands there twice",
        ),
    ],
)
def test_tensors_that_are_no_plain_lora_of_this_model_are_refused(
    path: Path, change: Callable[[Any], object], error: type[StudioloError], message: str
) -> None:
    tensors = load_file(path / WEIGHTS)
    change(tensors)
    save_file(tensors, path / WEIGHTS)
    with pytest.raises(error, match=message):
        read_adapter(path, config())


def test_one_of_another_model_says_whose_it_must_be(path: Path) -> None:
    gpt2 = load_decoder(reference.checkpoint(reference.make("gpt2"))).config
    with pytest.raises(UnsupportedModelError, match="the model that it was made for"):
        read_adapter(path, gpt2)


def test_pickles_and_missing_or_broken_files_are_refused(path: Path) -> None:
    data = (path / WEIGHTS).read_bytes()
    (path / WEIGHTS).write_bytes(data[:-9])
    with pytest.raises(MalformedFileError, match="not valid safetensors"):
        read_adapter(path, config())
    (path / WEIGHTS).unlink()
    with pytest.raises(MalformedFileError, match=r"adapter_model\.safetensors: cannot be read: No"):
        read_adapter(path, config())
    (path / "adapter_model.bin").write_bytes(data)
    with pytest.raises(UnsupportedModelError, match="a pickle; loading one runs any code"):
        read_adapter(path, config())
    (path / WEIGHTS).write_bytes(data)
    (path / CONFIG).write_text('{"r": 8, "r": 8}', encoding="utf-8")
    with pytest.raises(MalformedFileError, match="the key 'r' stands twice"):
        read_adapter(path, config())
    (path / CONFIG).unlink()
    with pytest.raises(MalformedFileError, match=r"is a directory with adapter_config\.json and"):
        read_adapter(path, config())
