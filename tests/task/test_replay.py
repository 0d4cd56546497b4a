"""Receipts of a real (tiny) model: made again to the bit, or refused with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import studiolo
from studiolo.errors import (
    ChecksumError,
    InvalidRequestError,
    MalformedFileError,
    ReplayError,
)
from studiolo.record.receipt import Asked, Digests, Output, Receipt
from tests.adapters import for_directory

PROMPT = "the cat sat on the"
Write = Callable[..., Path]


@pytest.fixture
def write(lm: studiolo.LanguageModel, tmp_path: Path) -> Write:
    """A receipt of a text, in a file."""

    def written(**options: Any) -> Path:
        file = tmp_path / "receipt.json"
        made = lm.generate(PROMPT, **{"max_tokens": 12, "seed": 3, **options})
        file.write_bytes(lm.receipt(made).to_bytes())
        return file

    return written


def test_a_cache_in_bfloat16_is_part_of_the_arithmetic(tiny: str, tmp_path: Path) -> None:
    lm = studiolo.load(tiny, device="cpu", kv_cache="bfloat16")
    receipt = lm.receipt(lm.generate(PROMPT, max_tokens=40, seed=3, log_probs=1))
    assert receipt.engine.arithmetic.endswith("bfloat16 cache")
    file = tmp_path / "receipt.json"
    file.write_bytes(receipt.to_bytes())
    assert studiolo.replay(file, model=tiny).agrees


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"log_probs": 3, "n": 3, "temperature": 1.3, "top_p": 0.9, "min_p": 0.01},
        {"beams": 4, "n": 3, "stop": "e"},
        {"stop": ["t", "\n"], "ignore_eos": True, "logit_bias": {5: 3.5}},
        {"log_probs": 0, "regex": "(a|b|the cat ){2,9}", "n": 2},
        {"choices": ["yes", "né"], "log_probs": 1},
        {"json_schema": {"type": "array", "items": {"enum": [1, 2]}, "maxItems": 2}, "beams": 2},
        {"grammar": 'start: "a" start | "b"', "seed": 2**63 - 1, "n": 2},
        {"max_tokens": None, "ignore_eos": True},
        {"repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": -1.0},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_everything_that_can_be_asked_comes_out_again(
    write: Write, tiny: str, options: dict[str, Any]
) -> None:
    file = write(**options)
    outcome = studiolo.replay(file, model=tiny)
    assert outcome.agrees
    assert outcome.now.to_bytes() == file.read_bytes()
    assert json.loads(json.dumps(outcome.to_dict()))["agrees"] is True


def test_a_chat_comes_out_again(lm: studiolo.LanguageModel, tiny: str, tmp_path: Path) -> None:
    answer = lm.chat([{"role": "user", "content": "the rain"}], max_tokens=6, log_probs=1)
    file = tmp_path / "receipt.json"
    file.write_bytes(lm.receipt(answer).to_bytes())
    assert studiolo.replay(file, model=tiny).agrees


def test_floats_are_replayed_as_floats(tiny: str, tmp_path: Path) -> None:
    lm = studiolo.load(tiny, device="cpu", arithmetic="float")
    receipt = lm.receipt(lm.generate(PROMPT, max_tokens=6, seed=1, log_probs=1))
    assert receipt.engine.arithmetic.endswith("float32 cpu")
    file = tmp_path / "receipt.json"
    file.write_bytes(receipt.to_bytes())
    assert studiolo.replay(file, model=tiny).agrees


def test_an_adapter_is_found_by_its_weights_whatever_it_is_called(
    write: Write, tiny: str, home: Path, tmp_path: Path
) -> None:
    poet, clerk = (for_directory(tiny, tmp_path / n, seed=i) for i, n in enumerate(("poet", "b")))
    file = write(adapter=poet, log_probs=2, n=2)
    outcome = studiolo.replay(file, model=tiny, adapter=poet)
    assert outcome.agrees
    assert outcome.now.to_bytes() == file.read_bytes()
    with pytest.raises(ReplayError, match=r"no installed adapter has the weights of the .* 'poet'"):
        studiolo.replay(file, model=tiny)
    with pytest.raises(ReplayError, match="is another adapter than the receipt's 'poet'"):
        studiolo.replay(file, model=tiny, adapter=clerk)
    shelf = home / "adapters"
    for name, source in (("poet", clerk), ("a-bard", poet)):
        shutil.copytree(source, shelf / name)
    (shelf / "broken").mkdir()
    (shelf / "broken" / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert studiolo.replay(file, model=tiny).agrees
    assert Receipt.read(file).asked.adapter == Receipt.read(write(adapter=poet)).asked.adapter
    with pytest.raises(ReplayError, match="tells of no adapter"):
        studiolo.replay(write(), model=tiny, adapter=poet)


def changed(file: Path, change: Callable[[Any], object]) -> None:
    """Change a receipt as a forger would: with digests that fit."""
    value = json.loads(file.read_bytes())
    change(value)
    asked = Asked.model_validate(value["asked"])
    outputs = [Output.model_validate(each) for each in value["outputs"]]
    value["digests"] = Digests.of(asked, outputs).model_dump()
    file.write_text(json.dumps(value), encoding="utf-8")


def test_a_difference_says_where(write: Write, tiny: str) -> None:
    file = write(log_probs=0, n=2)
    changed(file, lambda v: v["outputs"][1]["log_probs"].__setitem__(4, "bf800000"))
    outcome = studiolo.replay(file, model=tiny)
    assert outcome.difference is not None
    where = outcome.difference
    assert (where.what, where.sample, where.token) == ("log_prob", 1, 4)
    assert where.then == "-1 (bf800000)"
    changed(file, lambda v: v["outputs"][0]["token_ids"].__setitem__(2, 7))
    assert str(studiolo.replay(file, model=tiny).difference).startswith(
        "token of sample 1 at token 3: 7 then, "
    )
    assert studiolo.replay(file, model=tiny).to_dict()["difference"]["what"] == "token"


def test_another_seed_makes_another_text(write: Write, tiny: str) -> None:
    file = write(temperature=2.0)
    changed(file, lambda v: v["asked"].update(seed=4))
    assert not studiolo.replay(file, model=tiny).agrees


def test_the_model_is_found_by_its_weights_whatever_it_is_called(
    write: Write, tiny: str, home: Path, tmp_path: Path
) -> None:
    from studiolo.bundle.pull import ensure

    file = write()
    with pytest.raises(ReplayError, match="no installed model has the weights"):
        studiolo.replay(file)
    elsewhere = tmp_path / "another-name"
    shutil.copytree(tiny, elsewhere)
    assert studiolo.replay(file, model=elsewhere).agrees
    (elsewhere / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ReplayError, match="another-name has other weights"):
        studiolo.replay(file, model=elsewhere)
    with pytest.raises(ReplayError, match="there is no model"):
        studiolo.replay(file, model=tmp_path / "nowhere")
    assert ensure(tiny).digest == Receipt.read(file).model.weights


def test_another_arithmetic_is_refused_before_anything_is_made(write: Write, tiny: str) -> None:
    for other in ("packed 999", "torch 1.0 float32 cpu", "abacus"):
        file = write()
        value = json.loads(file.read_bytes())
        value["engine"]["arithmetic"] = other
        file.write_text(json.dumps(value), encoding="utf-8")
        with pytest.raises(ReplayError, match=f"the receipt's arithmetic is '{other}'"):
            studiolo.replay(file, model=tiny)


def test_files_that_changed_are_blamed_before_the_arithmetic(
    write: Write, tiny: str, home: Path
) -> None:
    """An installed model is taken at its manifest's word until the bits differ."""
    from studiolo.bundle.manifest import Origin, hash_file
    from studiolo.bundle.store import describe, layout_names, models_directory

    place = models_directory() / "mine"
    shutil.copytree(tiny, place)
    files = {name: hash_file(place / name) for name in layout_names(place)}
    manifest = describe("mine", place, files, Origin(kind="path", where="here"))
    (place / "bundle.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    file = write(log_probs=0)
    assert studiolo.replay(file).agrees
    weights = bytearray((place / "model.safetensors").read_bytes())
    weights[-4000:] = bytes(4000)
    (place / "model.safetensors").write_bytes(weights)
    with pytest.raises(ChecksumError, match="has changed since it was fetched"):
        studiolo.replay(file)


def test_a_cancelled_text_has_no_receipt(lm: studiolo.LanguageModel) -> None:
    with lm.stream(PROMPT, max_tokens=50, ignore_eos=True) as pieces:
        next(iter(pieces))
    with pytest.raises(InvalidRequestError, match="was cancelled"):
        lm.receipt(pieces.result)


def test_a_broken_receipt_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(b"{}")
    with pytest.raises(MalformedFileError, match="is no receipt"):
        studiolo.replay(file)
