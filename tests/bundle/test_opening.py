from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.pull import pull
from studiolo.bundle.store import Bundle, find
from studiolo.errors import MalformedFileError, UnsupportedModelError


def test_the_starter_saved_as_a_directory_is_the_same_model(starter: Path, tmp_path: Path) -> None:
    bundle = find(starter)
    assert bundle is not None
    opened = OpenBundle.of(bundle)
    opened.save(tmp_path / "saved")
    saved = find(tmp_path / "saved")
    assert saved is not None
    again = OpenBundle.of(saved)
    assert opened.gguf is not None
    assert again.gguf is None
    assert again.config == opened.config
    text = "Naïve cats — 12,345 of them — sat.\n\tdef f(): pass 🐈"
    assert again.tokenizer.encode(text) == opened.tokenizer.encode(text)
    assert set(again.checkpoint.names) == set(opened.checkpoint.names)
    for name in opened.checkpoint.names[:5]:
        assert torch.equal(again.checkpoint.tensor(name), opened.checkpoint.tensor(name))


def test_what_the_manifest_says_is_no_language_model_is_refused_by_name(starter: Path) -> None:
    found = find(starter)
    assert found is not None
    assert found.installed is not None
    manifest = found.installed.model_copy(update={"family": "encoder", "modality": "embedding"})
    bundle = Bundle(found.name, found.path, found.names, manifest)
    with pytest.raises(UnsupportedModelError, match="makes embedding, not text"):
        _ = OpenBundle.of(bundle).config


def test_a_damaged_installed_file_says_how_to_replace_it(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "toy.gguf"
    file.write_bytes(b"GGUF" + b"\x03\x00\x00\x00" + b"\xff" * 40)
    with pytest.raises(MalformedFileError) as caught:
        OpenBundle.of(pull(str(file)))
    assert caught.value.remedy == "`studiolo remove toy`, then `studiolo pull toy`."
    bundle = find(file)
    assert bundle is not None
    with pytest.raises(MalformedFileError) as caught:
        OpenBundle.of(bundle)
    assert "studiolo remove" not in (caught.value.remedy or "")
