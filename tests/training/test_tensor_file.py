from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

from studiolo.training.tensor_file import ALIGNMENT, in_order, write_tensors

TYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip
TENSORS = st.tuples(st.sampled_from(TYPES), st.lists(st.integers(0, 4), max_size=3))


def made(dtype: torch.dtype, shape: list[int]) -> Tensor:
    return torch.randint(0, 2, shape).to(dtype)


def written(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    file, ordered = io.BytesIO(), in_order(tensors)
    write_tensors(file, ordered, ordered.values(), metadata)
    return file.getvalue()


@given(st.dictionaries(st.text(max_size=8), TENSORS, max_size=6))
def test_the_library_reads_what_is_written(told: dict[str, tuple[torch.dtype, list[int]]]) -> None:
    told.pop("__metadata__", None)
    tensors = {name: made(*each) for name, each in told.items()}
    data = written(tensors, {"format": "pt"})
    found = load(data)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_every_tensor_is_aligned_whatever_lies_before_it() -> None:
    tensors = {
        "a": torch.ones(3, dtype=torch.uint8),
        "b": torch.ones(5),
        "c": torch.ones(1).double(),
    }
    data = written(tensors, {})
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert (8 + size) % ALIGNMENT == 0
    starts = {name: header[name]["data_offsets"][0] for name in tensors}
    assert starts == {"c": 0, "b": 8, "a": 28}


def test_metadata_and_what_is_no_contiguous_tensor(tmp_path: Path) -> None:
    turned = torch.arange(6.0).view(2, 3).T
    path = tmp_path / "x.safetensors"
    path.write_bytes(written({"x": turned, "one": torch.tensor(4.0)}, {"told": "ünï"}))
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"told": "ünï"}
        assert torch.equal(file.get_tensor("x"), turned)
        assert file.get_tensor("one").shape == ()


def test_bodies_are_asked_for_one_by_one() -> None:
    """Of what stands in the header nothing but shape and type is needed."""
    shapes = {"x": torch.empty(2, device="meta"), "y": torch.empty(3, device="meta")}
    file = io.BytesIO()
    write_tensors(file, shapes, iter([torch.zeros(2), torch.ones(3)]), {})
    assert torch.equal(load(file.getvalue())["y"], torch.ones(3))
    with pytest.raises(NotImplementedError):
        write_tensors(io.BytesIO(), shapes, iter([shapes["x"]]), {})
