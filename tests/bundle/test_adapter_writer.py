from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studiolo.bundle.adapter import read_adapter
from studiolo.bundle.adapter_writer import write_adapter
from studiolo.bundle.layout import decoder_config
from studiolo.nn.adapter import Update
from tests import reference


@pytest.mark.parametrize("name", ["gpt2", "llama-biased-untied", "qwen2", "gemma3"])
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    config = decoder_config(reference.checkpoint(reference.make(name)).config)
    updates = {}
    for block in range(len(config.layers)):
        for product, (inputs, sizes) in config.products.items():
            down = torch.randn(3, inputs)
            for i, size in enumerate(sizes):
                updates[f"blocks.{block}.{product}", i] = Update(down, torch.randn(size, 3), 0.5)
    write_adapter(tmp_path, config, updates, "its-base")
    found = read_adapter(tmp_path, config)
    assert set(found.updates) == set(updates)
    for site, update in updates.items():
        read = found.updates[site]
        torch.testing.assert_close(read.up @ read.down * read.scale, update.up @ update.down * 0.5)


def test_what_cannot_be_one_is_refused(tmp_path: Path) -> None:
    config = decoder_config(reference.checkpoint(reference.make("llama")).config)
    one, other = (Update(torch.randn(r, config.width), torch.randn(8, r), 1.0) for r in (2, 3))
    with pytest.raises(ValueError, match=r"not of \[2, 3\]"):
        write_adapter(tmp_path, config, {("a", 0): one, ("b", 0): other}, "x")
