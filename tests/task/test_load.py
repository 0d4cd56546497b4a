"""Which device is chosen, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import studiolo
from studiolo.errors import InvalidRequestError, MalformedFileError, UnknownModelError
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


def test_a_broken_file_is_named(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + b"\x03\x00\x00\x00" + b"\xff" * 40)
    with pytest.raises(MalformedFileError, match=r"broken\.gguf"):
        studiolo.load(file)
