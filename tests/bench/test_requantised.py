from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from bench.requantised import FILE_TYPES, as_q8_0, cached


def written(path: Path, kind: str) -> Path:
    """A GGUF with one matrix of ``kind``, one norm and some metadata."""
    writer = gguf.GGUFWriter(str(path), arch="llama")
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    values = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    wanted = gguf.GGMLQuantizationType[kind]
    writer.add_tensor("m.weight", gguf.quants.quantize(values, wanted), raw_dtype=wanted)
    writer.add_tensor("n.weight", values[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def floats(path: Path) -> dict[str, np.ndarray]:
    tensors = gguf.GGUFReader(str(path)).tensors
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in tensors}


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
def test_a_file_is_rewritten_once_with_its_values_and_metadata(tmp_path: Path, kind: str) -> None:
    source = written(tmp_path / "a.gguf", "Q4_1")
    target = cached(source, kind, tmp_path / "cache")
    reader = gguf.GGUFReader(str(target))
    assert [t.tensor_type.name for t in reader.tensors] == [kind, "F32"]
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["a", "b"]
    assert reader.fields["general.file_type"].contents() == FILE_TYPES[kind]
    before, after = floats(source), floats(target)
    assert (before["n.weight"] == after["n.weight"]).all()
    error = np.abs(before["m.weight"] - after["m.weight"]).max()
    assert 0 < error < (0.4 if kind == "Q4_0" else 0.03)
    stamp = target.stat().st_mtime_ns
    assert cached(source, kind, tmp_path / "cache") == target
    assert target.stat().st_mtime_ns == stamp
    assert list((tmp_path / "cache").iterdir()) == [target]


def test_what_is_of_the_kind_already_stays_the_file_it_is(tmp_path: Path) -> None:
    source = written(tmp_path / "a.gguf", "Q8_0")
    assert cached(source, "Q8_0", tmp_path / "cache") == source
    assert as_q8_0(source, tmp_path / "b.gguf") == source
    four = written(tmp_path / "c.gguf", "Q4_0")
    assert as_q8_0(four, tmp_path / "b.gguf") == four
    assert cached(four, "Q8_0", tmp_path / "cache") != four
