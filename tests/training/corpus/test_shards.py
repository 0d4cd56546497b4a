from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.bundle.manifest import hash_file
from studiolo.errors import MalformedFileError
from studiolo.training.corpus.shards import TRAINING, ShardWriter, map_shard


def told(tokens: int, documents: int, dtype: str = "uint16") -> Any:
    return SimpleNamespace(
        dtype=dtype, training=SimpleNamespace(tokens=tokens, documents=documents), validation=None
    )


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 65_535), max_size=6), max_size=6))
def test_what_is_written_is_mapped(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("shard")
    writer = ShardWriter(folder, TRAINING, "uint16")
    for ids in documents:
        writer.add(ids)
    pins = writer.close()
    assert pins == {name: hash_file(folder / name) for name in ("train.bin", "train.idx")}
    full = [ids for ids in documents if ids]
    shard = map_shard(folder, TRAINING, told(sum(map(len, full)), len(full)))
    cut = np.split(shard.ids, shard.starts[1:])
    assert [part.tolist() for part in cut] == (full or [[]])


def test_the_format_is_pinned(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, TRAINING, "uint32")
    writer.add([1, 65_536])
    writer.add([2])
    writer.close()
    assert (tmp_path / "train.bin").read_bytes().hex() == "010000000000010002000000"
    assert (tmp_path / "train.idx").read_bytes().hex() == "00" * 8 + "02" + "00" * 7
    shard = map_shard(tmp_path, TRAINING, told(3, 2, "uint32"))
    assert isinstance(shard.ids, np.memmap)
    assert shard.ids.tolist() == [1, 65_536, 2]


def test_files_that_contradict_the_manifest_are_refused(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, TRAINING, "uint16")
    writer.add([1, 2, 3])
    writer.close()
    with pytest.raises(MalformedFileError, match="has 3 tokens of 1 documents, and the manifest"):
        map_shard(tmp_path, TRAINING, told(4, 1))
    (tmp_path / "train.idx").write_bytes((3).to_bytes(8, "little"))
    with pytest.raises(MalformedFileError, match=r"train\.idx: is damaged"):
        map_shard(tmp_path, TRAINING, told(3, 1))
