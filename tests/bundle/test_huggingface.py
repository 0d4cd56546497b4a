from __future__ import annotations

import contextlib
import errno
import json
import pickle
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from studiolo.bundle import huggingface
from studiolo.bundle.huggingface import read_directory, read_json, write_directory
from studiolo.errors import (
    InvalidRequestError,
    MalformedFileError,
    NoSpaceError,
    SourceError,
    StudioloError,
    UnsupportedModelError,
)

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 31,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
TENSORS = {
    "a": torch.arange(12, dtype=torch.float32).view(3, 4),
    "b": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "c": torch.tensor(3.0, dtype=torch.float16),
}


def directory(tmp_path: Path, **files: object) -> Path:
    """A sound directory of one shard, with files replaced (bytes, JSON) or removed (None)."""
    path = tmp_path / "model"
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(CONFIG))
    save_file(TENSORS, path / "model.safetensors", metadata={"format": "pt"})
    for name, content in files.items():
        file = path / name.replace("__", ".")
        if content is None:
            file.unlink()
        elif isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(json.dumps(content))
    return path


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str = "F32", shape: object = (2,), begin: int = 0, end: int = 8) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_directory_of_one_shard(tmp_path: Path) -> None:
    path = directory(tmp_path, generation_config__json={"eos_token_id": 2})
    checkpoint = read_directory(path)
    assert (checkpoint.path, checkpoint.config) == (path, CONFIG)
    assert checkpoint.generation == {"eos_token_id": 2}
    assert set(checkpoint.names) == set(TENSORS)
    for name, expected in TENSORS.items():
        assert checkpoint.tensor(name).dtype == expected.dtype
        assert torch.equal(checkpoint.tensor(name), expected)
    with pytest.raises(KeyError, match="nothing"):
        checkpoint.tensor("nothing")


def test_golden_bytes(tmp_path: Path) -> None:
    header = b'{"t":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}'
    golden = struct.pack("<Q", 56) + header + struct.pack("<2f", 1.0, -2.0)
    checkpoint = read_directory(directory(tmp_path, model__safetensors=golden))
    assert checkpoint.tensor("t").tolist() == [[1.0, -2.0]]


@pytest.mark.parametrize("shard_bytes", [1, 60, 10**9])
def test_what_is_written_is_read_back(tmp_path: Path, shard_bytes: int) -> None:
    def stream() -> Iterator[tuple[str, Tensor]]:
        yield from TENSORS.items()

    path = tmp_path / "out"
    write_directory(path, CONFIG, stream(), None, {"eos_token_id": [1, 2]}, shard_bytes=shard_bytes)
    shards = sorted(file.name for file in path.glob("*.safetensors"))
    expected_count = {1: 3, 60: 1, 10**9: 1}[shard_bytes]
    assert len(shards) == expected_count
    assert shards[0] == (
        "model.safetensors" if len(shards) == 1 else "model-00001-of-00003.safetensors"
    )
    assert not list(tmp_path.glob("*.partial"))
    checkpoint = read_directory(path)
    assert checkpoint.config == CONFIG | {"dtype": "float32"}
    assert checkpoint.generation == {"eos_token_id": [1, 2]}
    assert sorted(checkpoint.names) == sorted(TENSORS)
    for name, tensor in TENSORS.items():
        assert torch.equal(checkpoint.tensor(name), tensor)


@pytest.mark.parametrize("shard_bytes", [3_000, 10**9])
def test_transformers_loads_what_is_written_and_we_what_it_writes(
    tmp_path: Path, shard_bytes: int
) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**CONFIG)).eval()
    model.save_pretrained(tmp_path / "theirs", max_shard_size=shard_bytes)
    checkpoint = read_directory(tmp_path / "theirs")
    tensors = {name: checkpoint.tensor(name) for name in checkpoint.names}
    write_directory(tmp_path / "ours", checkpoint.config, tensors, shard_bytes=shard_bytes)
    assert (tmp_path / "ours" / "model.safetensors.index.json").exists() == (shard_bytes == 3_000)
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values()), info
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_views_of_one_parameter_can_be_written(tmp_path: Path) -> None:
    whole = torch.arange(6.0).view(2, 3)
    write_directory(tmp_path / "out", CONFIG, {"rows": whole, "columns": whole.T, "one": whole[1]})
    checkpoint = read_directory(tmp_path / "out")
    assert torch.equal(checkpoint.tensor("columns"), whole.T)
    assert torch.equal(checkpoint.tensor("one"), whole[1])


def test_a_tokenizer_writes_its_files_into_the_directory(tmp_path: Path) -> None:
    class Tokenizer:
        def save(self, directory: Path) -> None:
            (directory / "tokenizer.json").write_text("{}")

    write_directory(tmp_path / "out", CONFIG, TENSORS, Tokenizer())  # type: ignore[arg-type]
    assert (tmp_path / "out" / "tokenizer.json").exists()


def test_a_taken_place_is_left_alone(tmp_path: Path) -> None:
    path = directory(tmp_path)
    before = sorted(file.name for file in path.iterdir())
    with pytest.raises(InvalidRequestError, match="not an empty directory"):
        write_directory(path, CONFIG, TENSORS)
    assert sorted(file.name for file in path.iterdir()) == before
    (tmp_path / "empty").mkdir()
    write_directory(tmp_path / "empty", CONFIG, TENSORS)
    assert read_directory(tmp_path / "empty").names


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, Tensor]]:
        yield "a", TENSORS["a"]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_directory(tmp_path / "out", CONFIG, broken(), shard_bytes=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(huggingface, "save_file", full)
    error = NoSpaceError if number == errno.ENOSPC else SourceError
    with pytest.raises(error, match="out"):
        write_directory(tmp_path / "out", CONFIG, TENSORS)
    assert not list(tmp_path.iterdir())


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such directory"):
        read_directory(tmp_path / "nowhere")
    with pytest.raises(MalformedFileError, match=r"config\.json: the file is missing"):
        read_directory(directory(tmp_path, config__json=None))
    with pytest.raises(MalformedFileError, match=r"holds neither model\.safetensors nor"):
        read_directory(directory(tmp_path, model__safetensors=None))


class Bomb:
    """Unpickled, it would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_a_pickle_is_never_loaded(tmp_path: Path, name: str) -> None:
    path = directory(tmp_path, model__safetensors=None)
    (path / name).write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    with pytest.raises(
        UnsupportedModelError, match=r"never loaded here[\s\S]*convert it elsewhere"
    ):
        read_directory(path)
    assert not (tmp_path / "mark").exists()


JSON_CASES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not valid JSON"),
    "cut off": (b'{"a": [1, 2', "not valid JSON"),
    "not UTF-8": (b'{"a": "\xff"}', "not valid JSON"),
    "a list": (b"[1]", "a list, not a JSON object"),
    "a key twice": (b'{"x": {"a": 1, "b": 2, "a": 3}}', "the key 'a' stands twice"),
    "deep": (b'{"a":' * 40 + b"1" + b"}" * 40, "deeper than 32 levels"),
    "very deep": (b'{"a":' + b"[" * 200_000, "deeper than 32 levels"),
    "a number of 10,000 digits": (b'{"a": ' + b"9" * 10_000 + b"}", "not valid JSON"),
    "giant": (b'{"a": "' + b" " * (17 << 20), "larger than 16,777,216 bytes"),
}


@pytest.mark.parametrize("case", JSON_CASES)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_malformed_json_is_named(tmp_path: Path, name: str, case: str) -> None:
    data, message = JSON_CASES[case]
    path = directory(tmp_path, **{name.replace(".", "__"): data})
    begin = time.perf_counter()
    with pytest.raises(MalformedFileError, match=message) as caught:
        read_directory(path)
    assert time.perf_counter() - begin < 1
    assert name in str(caught.value)


SAFETENSORS_CASES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "claims 0 bytes of a file of 0"),
    "half a length": (b"\1\0\0", "of a file of 3"),
    "giant header": (safetensors({}, length=2**62), "claims 4,611,686,018,427,387,904 bytes"),
    "header beyond the end": (safetensors({}, length=1000), "claims 1,000 bytes"),
    "header over the limit": (safetensors(b"", b" " * (17 << 20), length=17 << 20), "limit 16,777"),
    "not JSON": (safetensors(b"{" * 9), "not valid safetensors"),
    "deep": (safetensors(b"[" * 100_000), "not valid safetensors"),
    "truncated data": (safetensors({"t": entry()}, bytes(7)), "not valid safetensors"),
    "data left over": (safetensors({"t": entry()}, bytes(9)), "not valid safetensors"),
    "hole": (safetensors({"t": entry(), "u": entry(begin=9, end=17)}, bytes(17)), "not valid"),
    "overlap": (safetensors({"t": entry(), "u": entry(begin=4, end=12)}, bytes(12)), "not valid"),
    "backwards": (safetensors({"t": entry(begin=8, end=0)}, bytes(8)), "not valid safetensors"),
    "negative": (safetensors({"t": entry(shape=[-2])}, bytes(8)), "not valid safetensors"),
    "overflow": (safetensors({"t": entry(shape=[2**62, 2**62])}, bytes(8)), "not valid"),
    "another size": (safetensors({"t": entry(shape=[3])}, bytes(8)), "not valid safetensors"),
    "unknown dtype": (safetensors({"t": entry("F33")}, bytes(8)), "not valid safetensors"),
    "shape as text": (safetensors({"t": entry(shape="2")}, bytes(8)), "not valid safetensors"),
}


@pytest.mark.parametrize("case", SAFETENSORS_CASES)
def test_malformed_safetensors_are_named(tmp_path: Path, case: str) -> None:
    data, message = SAFETENSORS_CASES[case]
    path = directory(tmp_path, model__safetensors=data)
    begin = time.perf_counter()
    with pytest.raises(MalformedFileError, match=message) as caught:
        read_directory(path)
    assert time.perf_counter() - begin < 1
    assert "model.safetensors" in str(caught.value)


def test_a_dtype_that_is_no_weight_is_named_on_reading_only(tmp_path: Path) -> None:
    """Old checkpoints carry integer buffers that nobody asks for."""
    header = {"ids": entry("I64", [1]), "w": entry(begin=8, end=16)}
    path = directory(tmp_path, model__safetensors=safetensors(header, bytes(16)))
    checkpoint = read_directory(path)
    assert checkpoint.tensor("w").tolist() == [0, 0]
    with pytest.raises(UnsupportedModelError, match="'ids' has dtype I64"):
        checkpoint.tensor("ids")


INDEX_CASES: dict[str, tuple[object, str]] = {
    "no map": ({"metadata": {}}, "no object 'weight_map'"),
    "a list": ({"weight_map": ["a"]}, "no object 'weight_map'"),
    "empty": ({"weight_map": {}}, "no object 'weight_map'"),
    "number": ({"weight_map": {"a": 3}}, "said to lie in '3'"),
    "parent": ({"weight_map": {"a": "../secret.safetensors"}}, r"'\.\./secret\.safetensors'"),
    "absolute": ({"weight_map": {"a": "/etc/secret.safetensors"}}, "of the same directory"),
    "backslash": ({"weight_map": {"a": "..\\secret.safetensors"}}, "of the same directory"),
    "null byte": ({"weight_map": {"a": "x\0.safetensors"}}, "of the same directory"),
    "pickle": ({"weight_map": {"a": "pytorch_model.bin"}}, "of the same directory"),
    "missing": ({"weight_map": {"a": "model-2.safetensors"}}, "'model-2.safetensors', which is"),
    "wrong shard": ({"weight_map": {"z": "shard.safetensors"}}, "has no tensor 'z'"),
}


@pytest.mark.parametrize("case", INDEX_CASES)
def test_malformed_indices_are_named(tmp_path: Path, case: str) -> None:
    index, message = INDEX_CASES[case]
    path = directory(tmp_path)
    (path / "model.safetensors").rename(path / "shard.safetensors")
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(MalformedFileError, match=message):
        read_directory(path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), children, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), JSON, max_size=5))
def test_any_object_is_read_as_it_is(tmp_path: Path, value: dict[str, Any]) -> None:
    path = tmp_path / "value.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_json(path) == value


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3), st.binary(max_size=24))
def test_any_header_gives_tensors_or_a_named_error(
    tmp_path: Path, header: dict[str, Any], data: bytes
) -> None:
    path = directory(tmp_path, model__safetensors=safetensors(header, data))
    with contextlib.suppress(StudioloError):
        checkpoint = read_directory(path)
        for name in checkpoint.names:
            assert list(checkpoint.tensor(name).shape) == header[name]["shape"]
