"""A merged model computes what base and adapter do, and says what it was made of."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from studiolo.bundle import merging
from studiolo.bundle.adapter import adapter_digest
from studiolo.bundle.gguf_writer import WeightType, export_gguf
from studiolo.bundle.lineage import ancestry
from studiolo.bundle.manifest import BundleManifest, Lineage, digest_of, hash_file
from studiolo.bundle.merging import merge_adapter
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import open_path
from studiolo.errors import (
    ChecksumError,
    InvalidRequestError,
    MalformedFileError,
    NoSpaceError,
    StudioloError,
    UnsupportedModelError,
)
from studiolo.training.characters import alphabet, character_tokenizer
from studiolo.training.publish import Facts, publish_adapter
from tests import reference
from tests.adapters import TARGETS, drawn, for_directory, write

IDS = torch.randint(3, 97, (1, 20), generator=torch.Generator().manual_seed(1))


def opened(path: Path | str) -> OpenBundle:
    bundle = open_path(Path(path))
    assert bundle is not None
    return OpenBundle.of(bundle)


def saved(name: str, path: Path, dtype: torch.dtype = torch.float32) -> Any:
    """A reference model in the directory ``path``, with a tokenizer beside it."""
    model = reference.make(name).to(dtype)
    model.save_pretrained(path)
    character_tokenizer(alphabet("the cat")).save(path)
    return model


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS).logits
    return found


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft asks for it
@pytest.mark.parametrize("name", ["gpt2", "llama-biased-untied", "qwen3", "gemma3"])
def test_it_is_what_peft_merges(name: str, tmp_path: Path) -> None:
    """``merge_and_unload``: the same weights, but for the order of a sum."""
    model = saved(name, tmp_path / "base")
    plain = logits(model)
    torch.manual_seed(3)
    settings = peft.LoraConfig(
        r=5,
        lora_alpha=8,
        target_modules=list(TARGETS.get(name, TARGETS["llama"])),
        init_lora_weights=False,
        fan_in_fan_out=name == "gpt2",
        task_type="CAUSAL_LM",
    )
    tuned = peft.get_peft_model(model, settings)
    tuned.save_pretrained(tmp_path / "tuned")
    beside = logits(tuned)
    theirs = tuned.merge_and_unload()
    made = merge_adapter(opened(tmp_path / "base"), tmp_path / "tuned", tmp_path / "out")
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert (beside - plain).norm() > 0.02 * plain.norm()
    torch.testing.assert_close(logits(ours), beside, rtol=1e-4, atol=1e-4)
    wanted = dict(theirs.named_parameters())
    changed = 0
    for key, tensor in ours.named_parameters():
        torch.testing.assert_close(tensor, wanted[key], rtol=1e-6, atol=1e-6)
        changed += not torch.equal(tensor, _of_base(tmp_path / "base", key, tensor))
    assert made.matrices == changed


def _of_base(path: Path, name: str, default: torch.Tensor) -> torch.Tensor:
    with safe_open(path / "model.safetensors", framework="pt") as file:
        found: torch.Tensor = file.get_tensor(name) if name in file.keys() else default  # noqa: SIM118
    return found


def test_the_sum_is_rounded_once_to_the_types_of_the_file(tmp_path: Path) -> None:
    model = saved("llama", tmp_path / "base", torch.bfloat16)
    pairs = drawn(model, "q_proj", "down_proj", rank=3)
    write(tmp_path / "tuned", pairs, r=3, lora_alpha=6)
    merge_adapter(opened(tmp_path / "base"), tmp_path / "tuned", tmp_path / "out")
    before = load_file(tmp_path / "base" / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        down, up = pairs.get(name.removesuffix(".weight"), (None, None))
        wanted = tensor
        if down is not None and up is not None:
            wanted = (tensor.double() + 2 * up.double() @ down.double()).bfloat16()
        # A sum of float32 may fall on the other side of the middle between two bfloat16.
        assert (after[name] != wanted).float().mean() < 1e-3
        torch.testing.assert_close(after[name], wanted, rtol=2**-7, atol=1e-6)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_of_a_quantised_file_the_values_are_merged(tiny: str, tmp_path: Path) -> None:
    base = opened(export_gguf(opened(tiny), tmp_path / "base.gguf", WeightType.Q8_0).path)
    base.save(tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "plain", dtype=torch.float32)
    pairs = drawn(plain, *TARGETS["llama"], rank=2)
    write(tmp_path / "tuned", pairs, r=2, lora_alpha=2)
    made = merge_adapter(base, tmp_path / "tuned", tmp_path / "out")
    assert made.manifest.lineage.parents[0] == base.bundle.digest
    before = load_file(tmp_path / "plain" / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    for name, (down, up) in pairs.items():
        wanted = before[f"{name}.weight"] + up @ down
        torch.testing.assert_close(after[f"{name}.weight"], wanted, rtol=1e-5, atol=1e-6)


def test_it_is_a_bundle_that_tells_its_parents(tiny: str, tmp_path: Path) -> None:
    base = opened(tiny)
    adapter = for_directory(tiny, tmp_path / "tuned")
    counts: list[int] = []
    made = merge_adapter(base, adapter, tmp_path / "out", report=counts.append)
    assert counts == list(range(1, len(base.checkpoint.names) + 1))
    bundle = open_path(tmp_path / "out")
    assert bundle is not None
    assert bundle.installed == made.manifest
    assert made.manifest.lineage == Lineage(parents=(base.bundle.digest, adapter_digest(adapter)))
    assert made.manifest.files == {
        path.name: hash_file(path)
        for path in (tmp_path / "out").iterdir()
        if path.name != "bundle.json"
    }
    known = {base.bundle.digest: base.bundle.manifest}
    family = ancestry(made.manifest, known)
    assert [each.digest for each in family.parents] == [*made.manifest.lineage.parents]
    assert family.parents[0].name == "tiny"
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for fact in ("# out", "tiny", "tuned", base.bundle.digest[:12], "14 matrices", "unknown"):
        assert fact in card
    theirs, ours = (AutoTokenizer.from_pretrained(path) for path in (tiny, tmp_path / "out"))
    said = [{"role": "user", "content": "the cat"}]
    assert ours.apply_chat_template(said) == theirs.apply_chat_template(said)


def published(tiny: str, path: Path, licence: str, *parents: str) -> Path:
    """An adapter as training leaves it, made for the models with those digests."""
    from studiolo.bundle.adapter import read_adapter

    config = opened(tiny).config
    plain = for_directory(tiny, path.parent / f"{path.name}-plain")
    path.mkdir()
    updates = {
        site: update
        for site, update in read_adapter(plain, config).updates.items()
        if "attention.out" in site[0]
    }
    facts = Facts(
        name=path.name,
        licence=licence,
        lineage=Lineage(parents=parents, data=("d" * 64,)),
        quality={},
        details={},
    )
    publish_adapter(path, path.parent, config, updates, "tiny", facts)
    return path


def licensed(tiny: str, path: Path, licence: str) -> OpenBundle:
    """The tiny model as an installed bundle under ``licence``, with the licence's text."""
    import shutil

    shutil.copytree(tiny, path)
    (path / "LICENSE").write_text("You may.", encoding="utf-8")
    files = {each.name: hash_file(each) for each in path.iterdir()}
    bundle = open_path(path)
    assert bundle is not None
    manifest = bundle.manifest.model_copy(
        update={
            "files": files,
            "licence": licence,
            "defaults": {"temperature": 0.25},
            "digest": digest_of(pin.sha256 for pin in files.values()),
        }
    )
    (path / "bundle.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    return opened(path)


def test_the_licence_is_the_most_restrictive(tiny: str, tmp_path: Path) -> None:
    base = licensed(tiny, tmp_path / "base", "Apache-2.0")
    adapter = published(tiny, tmp_path / "tuned", "CC-BY-SA-4.0", base.bundle.digest)
    made = merge_adapter(base, adapter, tmp_path / "out")
    assert made.manifest.licence == "CC-BY-SA-4.0"
    assert made.manifest.defaults == {"temperature": 0.25}
    told = BundleManifest.model_validate_json((adapter / "bundle.json").read_text())
    assert made.manifest.lineage.parents == (base.bundle.digest, told.digest)
    assert (tmp_path / "out" / "LICENSE").read_text(encoding="utf-8") == "You may."
    other = licensed(tiny, tmp_path / "other", "CC-BY-NC-4.0")
    with pytest.raises(InvalidRequestError, match="nothing that is made of both can keep both"):
        merge_adapter(other, adapter, tmp_path / "more", any_base=True)
    assert not (tmp_path / "more").exists()


def test_another_base_is_refused_by_digest(tiny: str, tmp_path: Path) -> None:
    base = opened(tiny)
    adapter = published(tiny, tmp_path / "tuned", "MIT", "a" * 64)
    with pytest.raises(InvalidRequestError, match=f"tuned was trained on {'a' * 12}, and") as told:
        merge_adapter(base, adapter, tmp_path / "out")
    assert "--any-base" in str(told.value.remedy)
    assert not (tmp_path / "out").exists()
    made = merge_adapter(base, adapter, tmp_path / "out", any_base=True)
    assert made.matrices == 2


def test_an_adapter_that_was_changed_is_refused(tiny: str, tmp_path: Path) -> None:
    adapter = published(tiny, tmp_path / "tuned", "MIT")
    weights = adapter / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ChecksumError, match="has changed") as told:
        merge_adapter(opened(tiny), adapter, tmp_path / "out")
    assert "Publish the adapter again" in str(told.value.remedy)


def test_another_shape_or_rank_is_named(tiny: str, tmp_path: Path) -> None:
    def refused(kind: type[StudioloError], what: str, adapter: Path) -> None:
        with pytest.raises(kind, match=what):
            merge_adapter(opened(tiny), adapter, tmp_path / "out")
        assert [path.name for path in tmp_path.glob("out*")] == []

    pairs = drawn(reference.make("llama"), "q_proj", rank=2)
    refused(UnsupportedModelError, "of this model", write(tmp_path / "deep", pairs, r=2))
    first = {name: pair for name, pair in pairs.items() if "layers.0" in name}
    wide = write(tmp_path / "wide", first, r=2)
    refused(UnsupportedModelError, "of 48 inputs and 48 outputs, but here of 32 and 32", wide)
    ranks = for_directory(tiny, tmp_path / "ranks", r=9)
    refused(MalformedFileError, "is of rank 8 and 8, but adapter_config.json says 9", ranks)
    huge = for_directory(tiny, tmp_path / "huge")
    tensors = load_file(huge / "adapter_model.safetensors")
    save_file(
        {name: each * 1e25 for name, each in tensors.items()}, huge / "adapter_model.safetensors"
    )
    refused(MalformedFileError, "together are not finite as torch.float32", huge)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_place_that_is_taken_is_refused(tiny: str, tmp_path: Path, kind: str) -> None:
    adapter = for_directory(tiny, tmp_path / "tuned")
    out = tmp_path / "out"
    (out.mkdir() if kind == "folder" else None)
    inside = out / "mine.txt" if kind == "folder" else out
    inside.write_text("keep", encoding="utf-8")
    with pytest.raises(InvalidRequestError, match=r"out: .* exists and is not an empty folder"):
        merge_adapter(opened(tiny), adapter, out)
    assert inside.read_text(encoding="utf-8") == "keep"
    inside.unlink()
    merge_adapter(opened(tiny), adapter, out)  # nothing, or an empty folder, is in nobody's way
    assert (out / "bundle.json").is_file()


def test_a_full_disk_leaves_nothing(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = for_directory(tiny, tmp_path / "tuned")

    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(merging, "write_durably", full)
    with pytest.raises(NoSpaceError, match="the disk is full"):
        merge_adapter(opened(tiny), adapter, tmp_path / "out")
    assert [path.name for path in tmp_path.glob("out*")] == []
