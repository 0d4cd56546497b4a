"""Which device is chosen, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import studiolo
from studiolo.errors import InvalidRequestError, MalformedFileError, SourceError, UnknownModelError
from studiolo.task.load import checked_device


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert checked_device("auto").type == "cuda"
    assert checked_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert checked_device("auto").type == "cpu"
    with pytest.raises(InvalidRequestError, match="no CUDA GPU"):
        checked_device("cuda")
    with pytest.raises(InvalidRequestError, match="'tpu'"):
        checked_device("tpu")


def test_an_unknown_name_suggests_the_nearest(home: Path) -> None:
    with pytest.raises(UnknownModelError) as caught:
        studiolo.load("smollm2-135m-instrct")
    assert caught.value.nearest[0] == "smollm2-135m-instruct"


@pytest.mark.parametrize("what", [None, 5, b"x", ["x"], "~no-such-user/x"], ids=repr)
def test_what_is_no_name_and_no_path_is_refused(home: Path, what: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        studiolo.load(what)
    assert caught.value.field == "name_or_path"


@pytest.mark.parametrize("what", ["./nope", "nope.gguf", Path("nope"), "~/nope/nope", "file:nope"])
def test_a_path_without_anything_is_said_to_hold_nothing(home: Path, what: Any) -> None:
    with pytest.raises(SourceError, match=r"there is nothing at /.*nope") as caught:
        studiolo.load(what)
    assert ".gguf file" in (caught.value.remedy or "")


def test_what_may_be_on_the_hub_is_suggested(home: Path) -> None:
    with pytest.raises(SourceError) as caught:
        studiolo.load("owner/nope")
    assert caught.value.remedy == "If you meant the hub: studiolo pull hf:owner/nope"


def test_a_cache_is_kept_as_asked(tiny: str) -> None:
    lm = studiolo.load(tiny, device="cpu", kv_cache="bfloat16")
    assert lm.model.network.identity == "packed 2 bfloat16 cache"
    with pytest.raises(InvalidRequestError, match="float32, bfloat16, not 'int8'"):
        studiolo.load(tiny, device="cpu", kv_cache="int8")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="packed arithmetic alone"):
        studiolo.load(tiny, device="cpu", arithmetic="float", kv_cache="bfloat16")


def test_a_broken_file_is_named(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + b"\x03\x00\x00\x00" + b"\xff" * 40)
    with pytest.raises(MalformedFileError, match=r"broken\.gguf"):
        studiolo.load(file)
